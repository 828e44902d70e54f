/** How many files this process may open, and how many connections that leaves. Node.js raises its soft limit to the hard one at its start. */
import { readFileSync } from 'node:fs'

/** The soft limit (RLIMIT_NOFILE). */
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

/** Files of a ledger and its sub-ledger: tails, tiles that are read, and a thousand tables of each index of records at most. */
const LEDGER_FILES = 2560
/** Memory bounds them too, whatever the limit of files is. */
const MOST = 16_384

/** Connections that the limit leaves: `own` files are kept for the process itself, never more than half; a connection takes `each`. */
export function connectionsFor(files: number, own: number = LEDGER_FILES, each: number = 1): number {
  return Math.min(MOST, Math.floor((files - Math.min(own, files / 2)) / each))
}
