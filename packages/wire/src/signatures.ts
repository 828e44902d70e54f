/** Signatures of authors: an envelope verifies them before the ledger accepts the records. docs/signed-origin.md specifies them. */
import type { NewRecord, RecordSignature } from '@service-fs/ledger/record'

import type { SentRecord } from './authors.ts'
import type { Call } from './call.ts'
import { inPlace, type Place } from './fields.ts'
import { Problem } from './problem.ts'

/** The maximum number of signatures in one request. Each takes milliseconds to verify. */
const MAX_SIGNATURES = 256

/**
 * Verifies the signatures of records, in order. Records without signatures need no promise. `unit` is the place of a record in a
 * batch; undefined if there is only one record.
 * @throws Problem 400, 403, 413, 501
 */
export function verifiedRecords(
  call: Call,
  sent: readonly SentRecord[],
  unit: 'line' | 'record' | undefined,
): readonly NewRecord[] | Promise<readonly NewRecord[]> {
  checkRequired(call, sent, unit)
  return areUnsigned(sent) ? sent : verifyAll(call, sent, unit)
}

async function verifyAll(
  call: Call,
  sent: readonly SentRecord[],
  unit: 'line' | 'record' | undefined,
): Promise<NewRecord[]> {
  checkCount(sent)
  const records: NewRecord[] = []
  for (const [i, { signature, ...record }] of sent.entries()) {
    if (signature === undefined) records.push(record)
    else
      records.push({
        ...record,
        signature: await verified(call, record.payload, signature, placeOf(i, unit)),
      })
  }
  return records
}

function areUnsigned(
  records: readonly SentRecord[],
): records is readonly (SentRecord & { signature?: undefined })[] {
  return records.every(({ signature }) => signature === undefined)
}

function placeOf(i: number, unit: 'line' | 'record' | undefined): Place | undefined {
  if (unit === undefined) return undefined
  return unit === 'line' ? { line: i + 1 } : { record: i + 1 }
}

/** Checks that each record whose type requires a signature has one. @throws Problem 403 */
function checkRequired(
  { options: { authors } }: Call,
  sent: readonly SentRecord[],
  unit: 'line' | 'record' | undefined,
): void {
  if (authors === undefined) return
  const i = sent.findIndex(({ type, signature }) => signature === undefined && authors.requires(type))
  const record = sent[i]
  if (record === undefined) return
  const place = placeOf(i, unit)
  const detail =
    `${inPlace('signature', place)}: expected the signature of the author, which this ledger requires for the type ` +
    `${record.type}, found none`
  throw new Problem('signature-required', detail, { field: 'signature', ...place })
}

function checkCount(sent: readonly SentRecord[]): void {
  const count = sent.filter(({ signature }) => signature !== undefined).length
  if (count <= MAX_SIGNATURES) return
  const detail = `body: expected at most ${MAX_SIGNATURES} records with a signature, found ${count}`
  throw new Problem('too-large', detail, { field: 'body', expected: MAX_SIGNATURES, supplied: count })
}

async function verified(
  { options: { authors }, request }: Call,
  payload: Uint8Array,
  text: string,
  place: Place | undefined,
): Promise<RecordSignature> {
  const field = request.header('x-signature') === undefined ? 'signature' : 'X-Signature'
  if (authors === undefined) {
    const detail = `${inPlace(field, place)}: this server does not verify signatures of authors; nothing was recorded`
    throw new Problem('not-implemented', detail, { field, ...place })
  }
  try {
    return await authors.verify(payload, text)
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'SignatureError') throw error
    throw new Problem('bad-signature', `${inPlace(field, place)}: ${error.message}`, { field, ...place })
  }
}
