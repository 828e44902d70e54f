/**
 * The framed batch, `application/vnd.service-fs.batch`: one record after the other, and nothing else. Each record is
 *
 * ```
 * uint16  bytes of the identifier, 1 to 256
 * uint16  bytes of the media type, 3 to 255
 * uint32  bytes of the payload
 *         identifier, UTF-8
 *         media type, ASCII
 *         payload
 * ```
 *
 * Integers are big-endian, as in the entry bundles of c2sp.org/tlog-tiles. docs/wire.md specifies the body and its errors.
 */
import { MAX_ID_BYTES, MAX_TYPE_BYTES } from '@service-fs/format/entry'
import { equalBytes, type Codec } from '@service-fs/tlog/codec'

import { badField, type Place } from './fields.ts'
import type { Limits } from './limits.ts'
import type { Problem } from './problem.ts'
import { checkCount, checkedId, checkedType, checkSize, ID_EXPECTED } from './record-fields.ts'
import type { SentRecord } from './authors.ts'

/** Bytes of the three lengths before each record. */
const LENGTHS = 8

/** Returns the records of a framed batch. The payloads are views of `body`. @throws Problem 400, 413 */
export function framedRecords(body: Uint8Array, limits: Limits, codec: Codec): SentRecord[] {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  checkCount(countRecords(view, limits.maxBatch), 'record', limits)
  const typeOf = typeReader(body, codec)
  const records: SentRecord[] = []
  for (let at = 0; at < body.length;) {
    const place = { record: records.length + 1 }
    const id = at + LENGTHS
    const type = id + view.getUint16(at)
    const payload = type + view.getUint16(at + 2)
    at = payload + view.getUint32(at + 4)
    checkSize(at - payload, 'payload', limits, place)
    records.push({
      id: idIn(body, id, type, place, codec),
      type: typeOf(type, payload, place),
      payload: body.subarray(payload, at),
    })
  }
  return records
}

/** Counts the records, at most `most` + 1, and checks that each one is complete. @throws Problem 400 */
function countRecords(view: DataView, most: number): number {
  const { byteLength } = view
  let count = 0
  for (let at = 0; at < byteLength && count <= most;) {
    const place = { record: ++count }
    if (byteLength - at < LENGTHS) throw short('body', LENGTHS, byteLength - at, place)
    const id = view.getUint16(at)
    const type = view.getUint16(at + 2)
    const payload = view.getUint32(at + 4)
    at += LENGTHS
    if (byteLength - at < id) throw short('payload_id', id, byteLength - at, place)
    at += id
    if (byteLength - at < type) throw short('type', type, byteLength - at, place)
    at += type
    if (byteLength - at < payload) throw short('payload', payload, byteLength - at, place)
    at += payload
  }
  return count
}

function short(field: string, wanted: number, left: number, place: Place): Problem {
  return badField(field, `${wanted} bytes`, `${left} before the end of the body`, place)
}

function idIn(body: Uint8Array, start: number, end: number, place: Place, codec: Codec): string {
  if (end - start < 1 || end - start > MAX_ID_BYTES)
    throw badField('payload_id', ID_EXPECTED, `${end - start} bytes`, place)
  const bytes = body.subarray(start, end)
  // The QuickJS host codec cannot decode NUL.
  if (bytes.includes(0)) throw badField('payload_id', ID_EXPECTED, 'a NUL byte', place)
  let id: string
  try {
    id = codec.utf8Decode(bytes)
  } catch {
    throw badField('payload_id', ID_EXPECTED, 'invalid UTF-8', place)
  }
  return checkedId(id, 'payload_id', place, codec)
}

/** Returns a function that reads and checks a type. It checks equal types in a row once. */
function typeReader(body: Uint8Array, codec: Codec): (start: number, end: number, place: Place) => string {
  let last: Uint8Array | undefined
  let text = ''
  return (start, end, place) => {
    const bytes = body.subarray(start, end)
    if (last !== undefined && equalBytes(bytes, last)) return text
    text = checkedType(asciiIn(bytes, place, codec), 'type', place)
    last = bytes
    return text
  }
}

const TYPE_EXPECTED = 'a media type of at most 255 ASCII characters'

function asciiIn(bytes: Uint8Array, place: Place, codec: Codec): string {
  if (bytes.length > MAX_TYPE_BYTES) throw badField('type', TYPE_EXPECTED, `${bytes.length} bytes`, place)
  const other = bytes.find((byte) => byte === 0 || byte > 0x7f)
  if (other !== undefined)
    throw badField('type', TYPE_EXPECTED, `a byte 0x${other.toString(16).padStart(2, '0')}`, place)
  return codec.utf8Decode(bytes)
}
