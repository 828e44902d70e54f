/** Checks that the authors of records signed them, before the records are written. */
import { authorIn, isAuthorProblem, SIGNATURE_OF_FIELD, signatureId } from '@service-fs/format/author'
import { signatureProblem, type AuthoredRecord, type SignatureVerifier } from '@service-fs/client/companions'
import { nativeCodec, sha256Hex } from '@service-fs/native/native'
import type { TreeRecord } from '@service-fs/client/tree-records'

/** A record, and why its signature does not count. `unsigned`: its author did not sign it. */
export interface JudgedRecord {
  readonly record: TreeRecord
  readonly refusal?: string
  readonly unsigned?: true
}

/** A record of the ledger as its signature: the record after the signed one. */
type Companion = Pick<TreeRecord, 'id' | 'type' | 'payload'>

/**
 * Returns why the signature of a record does not count: the record has none, or `companion` is not its signature, or that is not valid, or does
 * not lead to a trust anchor. Undefined if it counts.
 */
export async function refusalOf(
  record: AuthoredRecord,
  companion: Companion | undefined,
  verify: SignatureVerifier,
): Promise<string | undefined> {
  const author = authorIn(record)
  if (author === undefined) return 'expected a signature of its author, found none'
  if (isAuthorProblem(author)) return `${author.field}: expected ${author.expected}, found ${author.found}`
  const wanted = signatureId(record.id, sha256Hex, nativeCodec)
  if (companion?.id !== wanted)
    return `expected its signature in the record ${JSON.stringify(wanted)}, found ${JSON.stringify(companion?.id ?? 'none')}`
  const digest = sha256Hex(companion.payload)
  if (digest !== author.signature)
    return `expected a signature with the SHA-256 ${author.signature}, found ${digest}`
  const problem = await signatureProblem(record, companion, verify)
  return problem && `expected ${problem.expected}; found: ${problem.found}`
}

/** Yields the records whose identifiers are `wanted`, in order, each with a judgement of its signature. */
export async function* judgedRecords(
  records: AsyncIterable<TreeRecord>,
  wanted: (id: string) => boolean,
  verify: SignatureVerifier,
): AsyncGenerator<JudgedRecord> {
  let awaiting: TreeRecord | undefined
  let isConfirmed = false
  for await (const record of records) {
    if (awaiting !== undefined) {
      const judged = await judge(awaiting, record, verify)
      isConfirmed = judged.refusal === undefined
      yield judged
    } else isConfirmed = false
    awaiting = undefined
    if (isSigned(record)) {
      if (wanted(record.id)) awaiting = record
    } else if (wanted(record.id))
      yield isConfirmed && isSignature(record) ? { record } : { record, unsigned: true }
  }
  if (awaiting !== undefined) yield judge(awaiting, undefined, verify)
}

async function judge(
  record: TreeRecord,
  companion: Companion | undefined,
  verify: SignatureVerifier,
): Promise<JudgedRecord> {
  const refusal = await refusalOf(record, companion, verify)
  return refusal === undefined ? { record } : { record, refusal }
}

function isSigned({ fields }: TreeRecord): boolean {
  return authorIn({ fields }) !== undefined
}

function isSignature({ fields }: TreeRecord): boolean {
  return fields.some(([name]) => name === SIGNATURE_OF_FIELD)
}
