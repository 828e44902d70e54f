/**
 * The entry of an audit sub-ledger that states whether reads of the ledger are recorded from here on. A sub-ledger without such an entry
 * records all reads.
 */
import type { Entry } from './entry.ts'

export const READS_TYPE = 'application/vnd.service-fs.reads+json'

/** `public`: reads are not recorded. */
export type Reads = 'public' | 'recorded'

/**
 * Returns the identifier of the `n`-th notice, from 1. The first notice says `public`, and the statements alternate, so the notice with the
 * largest number holds.
 */
export function readsNoticeId(n: number): string {
  return `reads-${n}`
}

/** Returns the payload of a notice: RFC 8785 text. `when` is an RFC 3339 time. */
export function readsNoticeText(reads: Reads, when: string): string {
  return `{"reads":"${reads}","when":"${when}"}`
}

/** Returns the statement of a notice; undefined when the entry is not a notice. */
export function readsNoticeOf({ header, payload }: Entry): Reads | undefined {
  if (header.type !== READS_TYPE) return undefined
  const text = String.fromCharCode(...payload.subarray(0, 64))
  const [, reads] = /^\{"reads":"(public|recorded)","when":"/.exec(text) ?? []
  return reads as Reads | undefined
}
