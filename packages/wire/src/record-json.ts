/** Records as JSON. */
import { authorIn, isAuthorProblem, SIGNATURE_OF_FIELD, type Author } from '@service-fs/format/author'
import { RETAIN_FIELD } from '@service-fs/format/duty'
import { fieldOf } from '@service-fs/format/entry'
import type { StoredRecord } from '@service-fs/ledger/record'
import type { Codec } from '@service-fs/tlog/codec'
import { allowanceFor, canonicalJson, MAX_VALUES, parseJson } from './canonicaljson.ts'

/**
 * Returns the JSON `{cursor, payload_id, type, time, retain_until?, author?, signature_of?, payload | payload_base64}` of a record. It has
 * `payload` if the stored bytes are the RFC 8785 text of a JSON value with at most MAX_VALUES values and names, whatever the type; else
 * `payload_base64`.
 */
export function recordJson(record: StoredRecord, codec: Codec): string {
  const json = canonicalText(record.payload, codec)
  return (
    `{"cursor":${record.index + 1},"payload_id":${JSON.stringify(record.id)},"type":${JSON.stringify(record.type)},` +
    `"time":"${record.time}",` +
    (record.fields.length === 0 ? '' : fieldMembers(record)) +
    (json === undefined ? `"payload_base64":"${codec.base64Encode(record.payload)}"}` : `"payload":${json}}`)
  )
}

function fieldMembers(record: StoredRecord): string {
  const until = fieldOf(record, RETAIN_FIELD)
  const author = authorIn(record)
  const signed = fieldOf(record, SIGNATURE_OF_FIELD)
  return (
    (until === undefined ? '' : `"retain_until":${JSON.stringify(until)},`) +
    (author === undefined || isAuthorProblem(author) ? '' : `"author":${authorJson(author)},`) +
    (signed === undefined ? '' : `"signature_of":${JSON.stringify(signed)},`)
  )
}

/** Returns the JSON of a record's author. */
export function authorJson({ subject, certificate, chain, anchor, signature, signedAt }: Author): string {
  return JSON.stringify({ subject, certificate, chain, anchor, signature, signed_at: signedAt })
}

/** Returns the text of `bytes` if it is canonical JSON. */
function canonicalText(bytes: Uint8Array, codec: Codec): string | undefined {
  if (!mayBeginJson(bytes[0])) return undefined
  try {
    const text = codec.utf8Decode(bytes)
    return canonicalJson(parseJson(text, allowanceFor(text, MAX_VALUES))) === text ? text : undefined
  } catch {
    return undefined
  }
}

/** Reports whether a JSON text can begin with `byte`: one of `{ [ " - 0-9 t f n`. */
export function mayBeginJson(byte: number | undefined): boolean {
  if (byte === undefined) return false
  return '{["-tfn'.includes(String.fromCharCode(byte)) || (byte >= 0x30 && byte <= 0x39)
}
