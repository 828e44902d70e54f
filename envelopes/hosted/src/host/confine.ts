/**
 * Builds the command that starts a process of the host. On Linux, `prlimit` sets its limits, then `setpriv` (both
 * from util-linux) switches the user, drops groups and capabilities, and sets `no_new_privs` (prctl(2)). Each
 * executes the next, so no extra process remains. On other systems Node.js switches the user, and there are no
 * limits.
 */
import type { SpawnOptions } from 'node:child_process'
import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { HostedError } from '@service-fs/http/errors'
import type { Owner } from './files.ts'

export interface Confinement {
  /** The user and group to run as. Default: the user and group of this process. */
  owner?: Owner | undefined
  /** The limit of open file descriptors (RLIMIT_NOFILE). */
  openFiles: number
  /** The limit of private memory in bytes, including stacks and reserved memory (RLIMIT_DATA). */
  dataBytes?: number
  /** Whether the process may listen on ports below 1024. */
  lowPorts?: boolean
}

export interface Started {
  command: string
  args: string[]
  options: Pick<SpawnOptions, 'uid' | 'gid'>
}

/** The limit of threads and processes of one user (RLIMIT_NPROC). Node.js has about twenty threads. */
const PROCESSES = 256

/** Reports whether this system has limits and `no_new_privs`. */
export function canConfine(): boolean {
  return process.platform === 'linux'
}

/** Returns the command and spawn options that run `command` within `bounds`. */
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
    // The limit counts all threads of the user, so it only makes sense for a dedicated user.
    ...(owner === undefined ? [] : [`--nproc=${PROCESSES}`]),
  ]
}

/** Returns the hard limit of this process's open files, which a child cannot exceed. */
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

/** Returns the environment of a confined process. It has no variable that could hold a secret or change the behavior of Node.js. */
export function confinedEnvironment(): NodeJS.ProcessEnv {
  const { PATH, LANG, TZ } = process.env
  return {
    PATH: PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin',
    ...(LANG === undefined ? {} : { LANG }),
    ...(TZ === undefined ? {} : { TZ }),
  }
}

/** Checks that the required tools are installed. @throws HostedError `config` */
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

/** Checks that all users can read this file of the program. @throws HostedError `config` that names the file or directory they cannot access */
export function checkReadable(file: string): void {
  if ((statSync(file).mode & 0o004) === 0) throw closed(file)
  checkReachable(file)
}

/**
 * Checks that all users can search the directories above `path`. @throws HostedError `config` that names the directory they cannot search
 */
export function checkReachable(path: string): void {
  for (let dir = dirname(path); dir !== dirname(dir); dir = dirname(dir))
    if ((statSync(dir).mode & 0o001) === 0) throw closed(dir)
}

function closed(path: string): HostedError {
  return new HostedError(
    'config',
    `${path}: its mode excludes the tenants' users: choose a directory that all users can search, such as one below /opt or /var/lib`,
  )
}
