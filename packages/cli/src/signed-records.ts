/** Checks that the authors of records signed them, before the records are written. */
import { authorIn, SIGNATURE_OF_FIELD } from '@service-fs/format/author'
import { fieldOf } from '@service-fs/format/entry'
import { isSignatureOf, judgeAuthor, type Companion } from '@service-fs/client/author-judgement'
import type { SignatureVerifier } from '@service-fs/client/companions'
import type { TreeRecord } from '@service-fs/client/tree-records'

/** A record, and the reason why its signature does not count. `unsigned`: its author did not sign it. */
export interface JudgedRecord {
  readonly record: TreeRecord
  readonly refusal?: string
  readonly unsigned?: true
}

/**
 * Yields the records whose identifiers are `wanted`, in order, each with a judgement of its signature. A record that is refused takes its
 * signature with it.
 */
export async function* judgedRecords(
  records: AsyncIterable<TreeRecord>,
  wanted: (id: string) => boolean,
  verify: SignatureVerifier,
): AsyncGenerator<JudgedRecord> {
  let awaiting: TreeRecord | undefined
  for await (const record of records) {
    const signed = awaiting
    awaiting = undefined
    const judged = signed && (await judge(signed, record, verify))
    if (judged !== undefined) yield judged
    const isItsSignature = signed !== undefined && isSignatureOf(record, signed.id)
    if (isItsSignature && judged?.refusal !== undefined) continue
    if (authorIn(record) !== undefined) {
      if (wanted(record.id)) awaiting = record
    } else if (wanted(record.id))
      yield isItsSignature && isSignature(record) ? { record } : { record, unsigned: true }
  }
  if (awaiting !== undefined) yield judge(awaiting, undefined, verify)
}

async function judge(
  record: TreeRecord,
  companion: Companion | undefined,
  verify: SignatureVerifier,
): Promise<JudgedRecord> {
  const { problem } = await judgeAuthor(record, companion, verify)
  return problem === undefined ? { record } : { record, refusal: problem }
}

function isSignature(record: TreeRecord): boolean {
  return fieldOf(record, SIGNATURE_OF_FIELD) !== undefined
}
