/** Listening sockets that the service manager passes to the process: sd_listen_fds_with_names(3) of systemd. */
import type { Listen } from './address.ts'
import { spawnSync } from 'node:child_process'
import { HostedError } from './errors.ts'

/** The first inherited descriptor: SD_LISTEN_FDS_START. */
const FIRST = 3

type Environment = Readonly<Record<string, string | undefined>>

export interface Inherited {
  /** FileDescriptorName= of the .socket unit; its own name by default. */
  name: string
  listen: Listen
}

/** Returns the socket that process `pid` inherits, and its address. @throws HostedError `usage`: not exactly one socket */
export function inheritedSocket(env: Environment, pid: number): Listen {
  const count = countOf(env, pid)
  if (count !== 1) throw activationError(`expected one socket (LISTEN_FDS=1), found ${count}`)
  return { ...addressOf(FIRST), fd: FIRST }
}

/** Returns the sockets that process `pid` inherits. @throws HostedError `usage`: none */
export function inheritedSockets(env: Environment, pid: number): Inherited[] {
  const names = (env['LISTEN_FDNAMES'] ?? '').split(':')
  return Array.from({ length: countOf(env, pid) }, (_, i) => {
    const fd = FIRST + i
    return { name: names[i] ?? '', listen: { ...addressOf(fd), fd } }
  })
}

function countOf({ LISTEN_PID: owner, LISTEN_FDS: count }: Environment, pid: number): number {
  if (owner !== String(pid) || count === undefined)
    throw activationError('expected LISTEN_PID and LISTEN_FDS, as set by a systemd .socket unit')
  if (!/^[1-9]\d?$/.test(count))
    throw activationError(`expected LISTEN_FDS from 1 to 99, found ${count.slice(0, 20)}`)
  return Number(count)
}

/** Finds the address in a child process, because this process would accept connections before the ledger is open. */
const ASK = `const server = require('node:net').createServer()
server.listen({ fd: 3 }, () => process.stdout.write(JSON.stringify(server.address()), () => process.exit()))`

function addressOf(fd: number): Listen {
  const stdio: ('ignore' | 'pipe' | number)[] = ['ignore', 'pipe', 'ignore', fd]
  const { stdout } = spawnSync(process.execPath, ['-e', ASK], { stdio, encoding: 'utf8' })
  if (stdout === '') throw activationError(`expected descriptor ${fd} to be a stream socket`)
  const address: unknown = JSON.parse(stdout)
  // Node.js does not report the path of an inherited unix socket.
  if (address === null) return { path: 'systemd' }
  if (typeof address === 'object' && 'address' in address && 'port' in address)
    return { host: String(address.address), port: Number(address.port) }
  throw activationError(`expected descriptor ${fd} to be a TCP socket or a unix socket`)
}

function activationError(message: string): HostedError {
  return new HostedError('usage', `--listen systemd: ${message}`)
}
