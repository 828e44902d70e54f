/** The limit of open files, and the number of connections that it leaves. Node.js raises its soft limit to the hard limit when it starts. */
import { readFileSync } from 'node:fs'

/** Returns the soft limit of open files (RLIMIT_NOFILE). */
export function openFilesLimit(): number {
  const found = process.platform === 'linux' ? fromProc() : fromReport()
  return found === undefined || found === 'unlimited' ? Number.POSITIVE_INFINITY : Number(found)
}

function fromProc(): string | undefined {
  return /^Max open files +(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1]
}

function fromReport(): string | undefined {
  const { userLimits } = process.report.getReport() as {
    userLimits?: { open_files?: { soft?: number | string } }
  }
  const soft = userLimits?.open_files?.soft
  return soft === undefined ? undefined : String(soft)
}

/** Files of a ledger and its sub-ledger: tails, tiles being read, and at most a thousand runs of each record index. */
const LEDGER_FILES = 2560
/** The maximum for any limit of open files, because connections take memory too. */
const MOST = 16_384

/**
 * Returns how many connections a limit of open files leaves. The process reserves `own` files for itself, but at most half of the
 * limit; a connection takes `each`.
 */
export function connectionsFor(files: number, own: number = LEDGER_FILES, each: number = 1): number {
  return Math.min(MOST, Math.floor((files - Math.min(own, files / 2)) / each))
}
