/** Tells the log how far making the record index is. */
import type { LogFields } from '../process/log.ts'

/** Milliseconds between two lines of one ledger. */
const EVERY_MS = 5000

/**
 * Returns what receives a ledger's progress: it logs every few seconds how much the index covers, and once when it covers all after it
 * was logged that it does not.
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
    const message = isComplete ? 'the record index covers the ledger' : 'the record index is being made'
    say(message, { ledger, covered, entries: size })
  }
}
