/** Logs the progress of rebuilding the record index. */
import type { LogFields } from '../process/log.ts'

/** Minimum milliseconds between two log lines of one ledger. */
const EVERY_MS = 5000

/**
 * Returns a callback for a ledger's progress. It logs every few seconds how much the index covers, and logs completion if it logged
 * progress before.
 */
export function indexProgress(
  ledger: string,
  say: (message: string, fields: LogFields) => void,
  now: () => number = () => performance.now(),
): (progress: { covered: number; size: number }) => void {
  let last = now()
  let isTold = false
  return ({ covered, size }) => {
    const isComplete = covered >= size
    if (isComplete ? !isTold : now() - last < EVERY_MS) return
    last = now()
    isTold = !isComplete
    const message = isComplete ? 'the record index covers the ledger' : 'rebuilding the record index'
    say(message, { ledger, covered, entries: size })
  }
}
