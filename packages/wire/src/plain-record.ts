/**
 * Reads a record from the bytes of `{"payload_id":"…","payload":…,"type":"…"}` in one pass, if the text is as a careful client writes
 * it: without white space, the members in this order (`type` is optional), and the payload in its RFC 8785 form. It rejects every other
 * text, valid or not, which the caller then parses.
 */
import { asciiEncode, type Codec } from '@service-fs/tlog/codec'
import { canonicalEnd } from './canonical-scan.ts'

export interface PlainRecord {
  readonly id: string
  readonly type: string | undefined
  /** A view of the bytes. */
  readonly payload: Uint8Array
}

const ID = asciiEncode('{"payload_id":"')
const PAYLOAD = asciiEncode('","payload":')
const TYPE = asciiEncode(',"type":"')

/** Returns the record in `bytes` from `start` to `end`, which are valid UTF-8; undefined if they have another form. */
export function plainRecord(
  bytes: Uint8Array,
  start: number,
  end: number,
  codec: Codec,
): PlainRecord | undefined {
  const id = after(ID, bytes, start)
  const idEnd = id < 0 ? -1 : unescaped(bytes, id)
  const payload = idEnd < 0 ? -1 : after(PAYLOAD, bytes, idEnd)
  const payloadEnd = payload < 0 ? -1 : canonicalEnd(bytes, payload, 1)
  if (payloadEnd < 0) return undefined
  const type = after(TYPE, bytes, payloadEnd)
  const typeEnd = type < 0 ? -1 : unescaped(bytes, type)
  const last = type < 0 ? payloadEnd : typeEnd + 1
  if (last === 0 || bytes[last] !== CLOSE_OBJECT || last + 1 !== end) return undefined
  return {
    id: decoded(bytes, id, idEnd, codec),
    type: type < 0 ? undefined : decoded(bytes, type, typeEnd, codec),
    payload: bytes.subarray(payload, payloadEnd),
  }
}

function decoded(bytes: Uint8Array, start: number, end: number, codec: Codec): string {
  if (codec.asciiDecode !== undefined) {
    let at = start
    while (at < end && (bytes[at] as number) < 0x80) at += 1
    if (at === end) return codec.asciiDecode(bytes, start, end)
  }
  return codec.utf8Decode(bytes.subarray(start, end))
}

// Each function below returns the position after what it reads, or -1. No token has a byte below 0x20, so none reads beyond its line.

function after(expected: Uint8Array, bytes: Uint8Array, at: number): number {
  for (let i = 0; i < expected.length; i++) if (bytes[at + i] !== expected[i]) return -1
  return at + expected.length
}

/** Returns the position of the quote that ends a string without escapes. */
function unescaped(bytes: Uint8Array, start: number): number {
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at] as number
    if (byte === QUOTE) return at
    if (byte < SPACE || byte === BACKSLASH) return -1
  }
  return -1
}

const SPACE = 0x20
const QUOTE = 0x22
const BACKSLASH = 0x5c
const CLOSE_OBJECT = 0x7d
