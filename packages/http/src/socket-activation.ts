/** Listening sockets that the service manager has opened and passes on at the start: sd_listen_fds_with_names(3) of systemd. */
import type { Listen } from './address.ts'
import { spawnSync } from 'node:child_process'
import { HostedError } from './errors.ts'

/** The first descriptor that is passed on: SD_LISTEN_FDS_START. */
const FIRST = 3

type Environment = Readonly<Record<string, string | undefined>>

export interface Inherited {
  /** FileDescriptorName= of the .socket unit; its own name by default. */
  name: string
  listen: Listen
}

/** The one socket that is passed to process `pid`, and where it listens. @throws HostedError `usage`: none is, or more than one */
export function inheritedSocket(env: Environment, pid: number): Listen {
  const count = countOf(env, pid)
  if (count !== 1) throw activationError(`expected one socket (LISTEN_FDS=1), found ${count}`)
  return { ...addressOf(FIRST), fd: FIRST }
}

/** The sockets that are passed to process `pid`, one at least. @throws HostedError `usage` */
export function inheritedSockets(env: Environment, pid: number): Inherited[] {
  const names = (env['LISTEN_FDNAMES'] ?? '').split(':')
  return Array.from({ length: countOf(env, pid) }, (_, i) => {
    const fd = FIRST + i
    return { name: names[i] ?? '', listen: { ...addressOf(fd), fd } }
  })
}

function countOf({ LISTEN_PID: owner, LISTEN_FDS: count }: Environment, pid: number): number {
  if (owner !== String(pid) || count === undefined)
    throw activationError('expected to be started by a .socket unit, which sets LISTEN_PID and LISTEN_FDS')
  if (!/^[1-9]\d?$/.test(count))
    throw activationError(`expected LISTEN_FDS from 1 to 99, found ${count.slice(0, 20)}`)
  return Number(count)
}

/** Asks another process: in this one, finding out would be to accept connections before the ledger is open. */
const ASK = `const server = require('node:net').createServer()
server.listen({ fd: 3 }, () => process.stdout.write(JSON.stringify(server.address()), () => process.exit()))`

function addressOf(fd: number): Listen {
  const stdio: ('ignore' | 'pipe' | number)[] = ['ignore', 'pipe', 'ignore', fd]
  const { stdout } = spawnSync(process.execPath, ['-e', ASK], { stdio, encoding: 'utf8' })
  if (stdout === '') throw activationError(`expected descriptor ${fd} to be a stream socket`)
  const address: unknown = JSON.parse(stdout)
  // Node.js does not tell the path of a unix socket that it has not made.
  if (address === null) return { path: 'systemd' }
  if (typeof address === 'object' && 'address' in address && 'port' in address)
    return { host: String(address.address), port: Number(address.port) }
  throw activationError(`expected descriptor ${fd} to be a socket of TCP or a unix socket`)
}

function activationError(message: string): HostedError {
  return new HostedError('usage', `--listen systemd: ${message}`)
}
