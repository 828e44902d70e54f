/** Encodes the records of one append as a framed batch, or as JSON for a server that takes no framed batches. */
import { idProblem, typeProblem } from '@service-fs/format/entry'
import { nativeCodec } from '@service-fs/native/native'
import { ClientError } from './errors.ts'

/** A record to append. */
export interface NewRecord {
  /** The record's identifier, which is unique in the ledger: 1 to 256 bytes of UTF-8 without control characters. */
  id: string
  /** The media type. */
  type: string
  payload: Uint8Array
  /** The time until which the record must be kept, in RFC 3339 and UTC with milliseconds (docs/retention.md). */
  retainUntil?: string | undefined
  /** The author's detached signature of the payload: a JWS in compact form, or a CMS signature in base64 (docs/signed-origin.md). */
  signature?: string | undefined
}

/** A request body with its media type. */
export interface AppendBody {
  type: string
  body: Uint8Array | string
  /** Whether the response has a list of receipts. Otherwise the response is the receipt of the only record. */
  isBatch: boolean
}

/** The number of bytes of the lengths before each framed record. */
const LENGTHS = 8

/**
 * Returns the records as a framed batch: docs/wire.md, "Framed batches". A frame has no room for `retainUntil` and `signature`: see {@link fitsFrames}.
 * @throws ClientError `bad-record` for an identifier or type that the frame cannot hold
 */
export function framedBody(records: readonly NewRecord[]): AppendBody {
  let size = 0
  for (const record of records) {
    check(record)
    size += mostFramed(record)
  }
  // Do not use a pooled buffer: a request may be sent again long after later requests.
  const body = new Uint8Array(size)
  const view = new DataView(body.buffer)
  const encoder = new TextEncoder()
  let at = 0
  for (const { id, type, payload } of records) {
    const start = at + LENGTHS
    const idBytes = encoder.encodeInto(id, body.subarray(start)).written
    const typeBytes = encoder.encodeInto(type, body.subarray(start + idBytes)).written
    view.setUint16(at, idBytes)
    view.setUint16(at + 2, typeBytes)
    view.setUint32(at + 4, payload.length)
    at = start + idBytes + typeBytes
    body.set(payload, at)
    at += payload.length
  }
  return { type: 'application/vnd.service-fs.batch', body: body.subarray(0, at), isBatch: true }
}

/** Reports whether a framed batch can hold the records. */
export function fitsFrames(records: readonly NewRecord[]): boolean {
  return records.every(({ retainUntil, signature }) => retainUntil === undefined && signature === undefined)
}

function check({ id, type }: NewRecord): void {
  const wrongId = idProblem(id, nativeCodec)
  if (wrongId !== undefined) throw new ClientError('bad-record', `id: ${wrongId}`)
  const wrongType = typeProblem(type, nativeCodec)
  if (wrongType !== undefined) throw new ClientError('bad-record', `type: ${wrongType}`)
}

/** Returns an upper bound of the bytes of a framed record. A UTF-16 code unit takes at most three bytes of UTF-8. */
function mostFramed({ id, type, payload }: NewRecord): number {
  return LENGTHS + 3 * (id.length + type.length) + payload.length
}

/** Returns an upper bound of a record's bytes in any body. JSON may escape each character of an id as \uXXXX. */
export function mostBytes(record: NewRecord): number {
  const { id, type, payload, signature = '' } = record
  const json = Math.ceil(payload.length / 3) * 4 + 6 * (id.length + type.length) + signature.length + 128
  return Math.max(mostFramed(record), json)
}

/**
 * Returns several records as NDJSON. Returns a single record as JSON, because only the limit of a JSON body has room for the largest
 * payload in base64.
 */
export function jsonBody(records: readonly NewRecord[]): AppendBody {
  const isBatch = records.length > 1
  const type = isBatch ? 'application/x-ndjson' : 'application/json'
  return { type, body: records.map(line).join(''), isBatch }
}

function line({ id, type, payload, retainUntil, signature }: NewRecord): string {
  const value = {
    payload_id: id,
    type,
    payload_base64: nativeCodec.base64Encode(payload),
    retain_until: retainUntil,
    signature,
  }
  return JSON.stringify(value) + '\n'
}
