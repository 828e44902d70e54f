/**
 * The command that a process of the host is started by. On Linux `prlimit` sets its limits and `setpriv` (both of util-linux) makes it
 * another user without groups, capabilities and the way to any (`no_new_privs`, prctl(2)); each replaces itself by the next. Elsewhere
 * Node.js makes it another user, and there are no limits.
 */
import type { SpawnOptions } from 'node:child_process'
import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { HostedError } from '@service-fs/http/errors'
import type { Owner } from './files.ts'

export interface Confinement {
  /** Undefined: the user who started the host. */
  owner?: Owner | undefined
  /** File descriptors. */
  openFiles: number
  /** Bytes of private memory, stacks and reserved memory included (RLIMIT_DATA). */
  dataBytes?: number
  /** May listen on ports below 1024. */
  lowPorts?: boolean
}

export interface Started {
  command: string
  args: string[]
  options: Pick<SpawnOptions, 'uid' | 'gid'>
}

/** Threads and processes of one user: Node.js has about twenty. */
const PROCESSES = 256

/** Whether limits and `no_new_privs` can be had here. */
export function canConfine(): boolean {
  return process.platform === 'linux'
}

/** How to start that command within those bounds. */
export function confined(command: readonly string[], bounds: Confinement): Started {
  const { owner } = bounds
  const [first = '', ...rest] = command
  if (!canConfine()) return { command: first, args: rest, options: { ...owner } }
  return { command: 'prlimit', args: [...limitsOf(bounds), ...privilegesOf(bounds), ...command], options: {} }
}

function limitsOf({ openFiles, dataBytes, owner }: Confinement): string[] {
  return [
    '--core=0',
    `--nofile=${owner === undefined ? Math.min(openFiles, mostOpenFiles()) : openFiles}`,
    ...(dataBytes === undefined ? [] : [`--data=${dataBytes}`]),
    // The limit counts all that a user has: only one of its own can have one.
    ...(owner === undefined ? [] : [`--nproc=${PROCESSES}`]),
  ]
}

/** What this process may allow at most. */
function mostOpenFiles(): number {
  const most = /^Max open files +\S+ +(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1]
  return most === undefined || most === 'unlimited' ? Number.POSITIVE_INFINITY : Number(most)
}

function privilegesOf({ owner, lowPorts = false }: Confinement): string[] {
  const kept = lowPorts ? ',+net_bind_service' : ''
  return [
    'setpriv',
    '--no-new-privs',
    ...(owner === undefined
      ? []
      : [
          `--reuid=${owner.uid}`,
          `--regid=${owner.gid}`,
          '--clear-groups',
          `--bounding-set=-all${kept}`,
          `--inh-caps=-all${kept}`,
          `--ambient-caps=-all${kept}`,
        ]),
  ]
}

/** The environment of such a process: nothing that a secret or an option could be in. */
export function confinedEnvironment(): NodeJS.ProcessEnv {
  const { PATH, LANG, TZ } = process.env
  return {
    PATH: PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin',
    ...(LANG === undefined ? {} : { LANG }),
    ...(TZ === undefined ? {} : { TZ }),
  }
}

/** @throws HostedError `config`: a tool that is not installed */
export function checkTools(): void {
  if (!canConfine()) return
  const dirs = (process.env['PATH'] ?? '').split(delimiter)
  for (const tool of ['prlimit', 'setpriv', 'flock'])
    if (!dirs.some((dir) => isExecutable(join(dir, tool))))
      throw new HostedError('config', `the command ${tool} (of util-linux) is not installed`)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** That others than its owner can read this file of the program. @throws HostedError `config`, which names what is closed to them */
export function checkReadable(file: string): void {
  if ((statSync(file).mode & 0o004) === 0) throw closed(file)
  checkReachable(file)
}

/** That others can get to this file or directory. @throws HostedError `config`, which names what is closed to them */
export function checkReachable(path: string): void {
  for (let dir = dirname(path); dir !== dirname(dir); dir = dirname(dir))
    if ((statSync(dir).mode & 0o001) === 0) throw closed(dir)
}

function closed(path: string): HostedError {
  return new HostedError(
    'config',
    `${path}: its mode keeps out the tenants' users: choose a place that everybody can get to, such as below /opt or /var/lib`,
  )
}
