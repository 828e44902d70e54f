/** Facts that the kernel reports about a process and a file system. */
import { readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'

export interface ProcessFacts {
  uid: number
  /** Whether execve(2) cannot give the process new privileges (prctl(2), PR_SET_NO_NEW_PRIVS). */
  noNewPrivileges: boolean
  /** Whether the process may set and clear file attributes (CAP_LINUX_IMMUTABLE). */
  setsFlags: boolean
  /** The arguments with which the process was started. */
  flags: readonly string[]
}

const CAP_LINUX_IMMUTABLE = 9n

/** Returns facts about a running process; undefined when no process has that pid or the system does not report them. */
export function processFacts(pid: number | 'self'): ProcessFacts | undefined {
  if (process.platform !== 'linux') return pid === 'self' ? ownFacts() : undefined
  let status: string
  let flags: string[]
  try {
    status = readFileSync(`/proc/${pid}/status`, 'latin1')
    flags = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return undefined
  }
  const field = (name: string): string => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1] ?? ''
  const capabilities = BigInt(`0x${field('CapEff') || '0'}`)
  return {
    uid: Number(field('Uid')),
    noNewPrivileges: field('NoNewPrivs') === '1',
    setsFlags: ((capabilities >> CAP_LINUX_IMMUTABLE) & 1n) === 1n,
    flags,
  }
}

function ownFacts(): ProcessFacts {
  const uid = process.getuid?.() ?? -1
  return { uid, noNewPrivileges: false, setsFlags: uid === 0, flags: process.argv }
}

/** statfs(2)'s `f_type`, on Linux. */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  0x01021994: 'tmpfs',
  0x01021997: '9p',
  0x2fc12fc1: 'zfs',
  0x58465342: 'xfs',
  0x65735546: 'fuse',
  0x6969: 'nfs',
  0x794c7630: 'overlay',
  0x858458f6: 'ramfs',
  0x9123683e: 'btrfs',
  0xef53: 'ext4',
  0xf2f52010: 'f2fs',
  0xff534d42: 'cifs',
}

/** File systems in memory, which lose their content when the machine loses power. */
export const IN_MEMORY: ReadonlySet<string> = new Set(['tmpfs', 'ramfs'])
/** Network file systems: another machine may write to them, and a lock on this machine may not stop it. */
export const ON_NETWORK: ReadonlySet<string> = new Set(['nfs', '9p', 'cifs'])

/** Returns the name of a path's file system, or its number when it is not in the table; undefined on other systems than Linux. */
export async function fileSystemOf(path: string): Promise<string | undefined> {
  if (process.platform !== 'linux') return undefined
  const type = (await statfs(path)).type >>> 0
  return FILE_SYSTEMS[type] ?? `0x${type.toString(16)}`
}
