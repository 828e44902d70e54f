/** Keeps the notices in the audit sub-ledger that say whether reads of the ledger are recorded. */
import { codeOf } from '@service-fs/format/errors'
import { READS_TYPE, readsNoticeId, readsNoticeText } from '@service-fs/format/reads-notice'
import { nativeCodec } from '@service-fs/native/native'
import type { ServedLedger } from './served-ledger.ts'

export interface ReadsOptions {
  /** Whether reads of the ledger are public, and so not recorded. */
  publicReads?: boolean | undefined
  report?: ((error: unknown) => void) | undefined
}

/**
 * Appends a notice to the audit sub-ledger if the last one contradicts the options. Resolves when the notice is durable, if reads
 * are public: no read may precede it. If reads are recorded, the promise resolves at once, because recording needs no
 * notice.
 */
export async function declareReads(
  audit: ServedLedger,
  { publicReads = false, report }: ReadsOptions,
): Promise<void> {
  if (audit.size === 0 && !publicReads) return
  const declared = declare(audit, publicReads)
  if (publicReads) await declared
  else
    declared.catch((error: unknown) => {
      if (codeOf(error) !== 'closed') report?.(error)
    })
}

async function declare(audit: ServedLedger, publicReads: boolean): Promise<void> {
  await audit.ready()
  const count = await noticesIn(audit)
  if ((count % 2 === 1) === publicReads) return
  const text = readsNoticeText(publicReads ? 'public' : 'recorded', new Date().toISOString())
  const payload = nativeCodec.utf8Encode(text)
  await audit.append([{ id: readsNoticeId(count + 1), type: READS_TYPE, payload }])
}

/** Returns the number of notices, found by an exponential search and then a binary search. */
async function noticesIn(audit: ServedLedger): Promise<number> {
  let [low, high] = [0, 1]
  while (await hasNotice(audit, high)) [low, high] = [high, 2 * high]
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (await hasNotice(audit, middle)) low = middle
    else high = middle
  }
  return low
}

async function hasNotice(audit: ServedLedger, n: number): Promise<boolean> {
  try {
    await audit.entryById(readsNoticeId(n))
    return true
  } catch (error) {
    if (codeOf(error) === 'not-found') return false
    throw error
  }
}
