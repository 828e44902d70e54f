/** Examines the process that serves a tenant, and the machine's clock. */
import { constants, readFileSync, type Stats } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '@service-fs/format/errors'
import { lockHolder } from '@service-fs/storage-posix/lock-holder'
import { isClockSynchronized } from '../process/clock.ts'
import { processFacts } from '../process/process-facts.ts'
import { finding, type Finding } from './finding.ts'
import { statOf } from './files.ts'

/**
 * Finds the process that has the ledger open. `pid` is absent if no process has it open, or if this user cannot see the process.
 */
export async function writerOf(dir: string): Promise<{ finding: Finding; pid?: number }> {
  const lock = await fileAt(join(dir, 'lock'))
  if (process.platform !== 'linux')
    return { finding: finding('lock', 'unknown', 'this system does not report lock holders') }
  const itself = await statOf(dir)
  if (![itself, lock].some((file) => file !== undefined && isLocked(file.dev, file.ino)))
    return { finding: finding('lock', 'no', 'no process has the ledger open') }
  const pid = await lockHolder(dir)
  if (pid === undefined)
    return { finding: finding('lock', 'yes', 'held by a process that this user cannot see') }
  return { finding: finding('lock', 'yes', `held by process ${pid}, which excludes other writers`), pid }
}

/**
 * Returns the state of a file. The file's owner may have replaced it by a link or a FIFO, so this function follows no
 * link and does not block.
 * @throws `ELOOP` for a link
 */
async function fileAt(path: string): Promise<Stats | undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const stats = await file.stat()
    await file.close()
    return stats
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Reports whether /proc/locks lists a flock(2) on the file. */
function isLocked(dev: number, ino: number): boolean {
  const device = BigInt(dev)
  const major = Number((device >> 8n) & 0xfffn)
  const minor = Number((device & 0xffn) | ((device >> 12n) & 0xfff00n))
  const file = ` ${hex(major)}:${hex(minor)}:${ino} `
  return readFileSync('/proc/locks', 'latin1')
    .split('\n')
    .some((line) => line.includes(' FLOCK ') && line.includes(file))
}

function hex(number: number): string {
  return number.toString(16).padStart(2, '0')
}

/** Reports the privileges that the process has but does not need. */
export function processFindings(pid: number): Finding[] {
  const facts = processFacts(pid)
  if (facts === undefined) return [finding('process', 'unknown', `process ${pid} can't be looked at`)]
  const { uid, noNewPrivileges, setsFlags, flags } = facts
  const isPublic = flags.includes('--public-reads')
  return [
    finding(
      'reads-recorded',
      isPublic ? 'no' : 'yes',
      isPublic
        ? `process ${pid} lets everybody read, and records no reads (--public-reads)`
        : `process ${pid} records each read in the audit sub-ledger before it responds`,
    ),
    finding('not-root', uid === 0 ? 'no' : 'yes', `process ${pid} runs as uid ${uid}`),
    finding(
      'no-new-privileges',
      noNewPrivileges ? 'yes' : 'no',
      noNewPrivileges
        ? `process ${pid} cannot gain privileges`
        : `process ${pid} could gain privileges by running a set-uid program`,
    ),
    finding(
      'attributes-out-of-reach',
      setsFlags ? 'no' : 'yes',
      setsFlags
        ? `process ${pid} could clear file attributes (CAP_LINUX_IMMUTABLE)`
        : `process ${pid} cannot clear file attributes`,
    ),
  ]
}

/** Reports whether the machine's clock is synchronized, and whether it is behind the newest checkpoint. */
export async function clockFinding(dirs: readonly string[]): Promise<Finding> {
  for (const dir of dirs) {
    const written = (await statOf(join(dir, 'checkpoint')))?.mtimeMs ?? 0
    const ahead = Math.ceil((written - Date.now()) / 1000)
    if (ahead > 1)
      return finding('clock', 'no', `the clock is ${ahead} s behind the newest checkpoint in ${dir}`, true)
  }
  const synchronized = await isClockSynchronized()
  if (synchronized === undefined)
    return finding('clock', 'unknown', 'no program on this system reports whether the clock is synchronized')
  return synchronized
    ? finding('clock', 'yes', 'the clock is synchronized')
    : finding('clock', 'no', 'the clock is not synchronized')
}
