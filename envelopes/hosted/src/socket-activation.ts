/** A listening socket that the service manager has opened and passes on at the start: sd_listen_fds(3) of systemd. */
import { spawnSync } from 'node:child_process'
import type { Listen } from './config.ts'
import { HostedError } from './errors.ts'

/** The first descriptor that is passed on: SD_LISTEN_FDS_START. */
const FIRST = 3

/** The one socket that is passed to process `pid`, and where it listens. @throws HostedError `usage`: none is, or more than one */
export function inheritedSocket(env: Readonly<Record<string, string | undefined>>, pid: number): Listen {
  const { LISTEN_PID: owner, LISTEN_FDS: count } = env
  if (owner !== String(pid) || count === undefined)
    throw refusal('expected to be started by a .socket unit, which sets LISTEN_PID and LISTEN_FDS')
  if (count !== '1') throw refusal(`expected one socket (LISTEN_FDS=1), found ${count.slice(0, 20)}`)
  return { ...addressOf(FIRST), fd: FIRST }
}

/** Asks another process: in this one, finding out would be to accept connections before the ledger is open. */
const ASK = `const server = require('node:net').createServer()
server.listen({ fd: ${FIRST} }, () => process.stdout.write(JSON.stringify(server.address()), () => process.exit()))`

function addressOf(fd: number): Listen {
  const stdio: ('ignore' | 'pipe' | number)[] = ['ignore', 'pipe', 'ignore', fd]
  const { stdout } = spawnSync(process.execPath, ['-e', ASK], { stdio, encoding: 'utf8' })
  if (stdout === '') throw refusal(`expected descriptor ${fd} to be a stream socket`)
  const address: unknown = JSON.parse(stdout)
  // Node.js does not tell the path of a unix socket that it has not made.
  if (address === null) return { path: 'systemd' }
  if (typeof address === 'object' && address !== null && 'address' in address && 'port' in address)
    return { host: String(address.address), port: Number(address.port) }
  throw refusal(`expected descriptor ${fd} to be a socket of TCP or a unix socket`)
}

function refusal(message: string): HostedError {
  return new HostedError('usage', `--listen systemd: ${message}`)
}
