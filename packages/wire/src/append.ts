/** POST /v1/append: a record as JSON or as raw bytes, or a batch as NDJSON or in frames. The server responds when the commit is durable. */
import type { Appended } from '@service-fs/ledger/record'
import type { Codec } from '@service-fs/tlog/codec'

import { checkCharset } from './body-meaning.ts'
import { appendRecords } from './append-records.ts'
import { answer, jsonAnswer, type Answer, type Call } from './call.ts'
import { badField } from './fields.ts'
import { framedRecords } from './framed-batch.ts'
import { jsonRecord, ndjsonRecords } from './json-records.ts'
import type { Limits } from './limits.ts'
import { checkedId, checkedType, checkSize, retainFields } from './record-fields.ts'
import { authorJson } from './record-json.ts'
import { accepts, FRAMED, mediaType, NDJSON, TLOG_PROOF, type WireRequest } from './request.ts'
import type { SentRecord } from './authors.ts'

const ID_HEADER = 'x-payload-id'
const RETAIN_HEADER = 'x-retain-until'
const SIGNATURE_HEADER = 'x-signature'
/** Bytes of a JSON append besides its payload: identifier and type with escapes, names, punctuation. */
const JSON_SLACK = 4096

/** Returns the largest body, in bytes, of a request to /v1/append with these headers. A larger body is 413. */
export function appendBodyLimit(request: Pick<WireRequest, 'header'>, limits: Limits): number {
  if (request.header(ID_HEADER) !== undefined) return limits.maxPayload
  const type = request.header('content-type')?.toLowerCase()
  if (type?.startsWith(NDJSON) === true || type?.startsWith(FRAMED) === true) return limits.maxBatchBytes
  // Base64 in JSON is a third longer than the payload.
  return Math.ceil(limits.maxPayload / 3) * 4 + JSON_SLACK
}

/** Rejects headers that are wrong for every body. @throws Problem 400, 415 */
export function appendHead(request: Pick<WireRequest, 'header'>, codec: Codec): void {
  const rawId = request.header(ID_HEADER)
  if (rawId === undefined) {
    bodyType(request)
    checkNoRawFields(request)
  } else {
    rawNames(request, rawId, codec)
  }
}

export async function append(call: Call): Promise<Answer> {
  const { request, options, limits } = call
  const rawId = request.header(ID_HEADER)
  if (rawId !== undefined) return appendOne(call, rawRecord(request, rawId, limits, options.codec))
  const type = bodyType(request)
  checkNoRawFields(request)
  const reading = { limits, codec: options.codec, scansBytes: options.scansBytes === true }
  if (type === NDJSON) return appendMany(call, ndjsonRecords(request.body, reading), 'line')
  if (type === FRAMED) return appendMany(call, framedRecords(request.body, limits, options.codec), 'record')
  return appendOne(call, jsonRecord(request.body, reading))
}

function bodyType(request: Pick<WireRequest, 'header'>): string {
  const type = mediaType(request)
  checkCharset(request.header('content-type') ?? '')
  if (type === NDJSON || type === FRAMED || type === 'application/json') return type
  const expected = `application/json, ${NDJSON}, ${FRAMED}, or X-Payload-ID with any type`
  throw badField('Content-Type', expected, type ?? 'nothing')
}

/** These headers are about a record of raw bytes. Other bodies have such members in each record. @throws Problem 400 */
function checkNoRawFields(request: Pick<WireRequest, 'header'>): void {
  const until = request.header(RETAIN_HEADER)
  if (until !== undefined)
    throw badField('X-Retain-Until', 'X-Payload-ID too, or retain_until in the body', until)
  const signature = request.header(SIGNATURE_HEADER)
  if (signature !== undefined)
    throw badField('X-Signature', 'X-Payload-ID too, or signature in the JSON of the record', signature)
}

function appendOne(call: Call, record: SentRecord): Promise<Answer> {
  return appendRecords(call, [record], undefined, ({ entries, checkpoint }) => {
    const [entry] = entries
    if (entry === undefined) throw new Error('append returned no entry')
    if (accepts(call.request, TLOG_PROOF)) return proofAnswer(call, entry)
    return jsonAnswer(`{${entryMembers(record.id, entry)},"checkpoint":${JSON.stringify(checkpoint)}}`)
  })
}

async function proofAnswer({ ledger }: Call, { index }: Appended): Promise<Answer> {
  return answer(`${TLOG_PROOF}; charset=utf-8`, await ledger.tlogProof(index))
}

function appendMany(call: Call, records: readonly SentRecord[], unit: 'line' | 'record'): Promise<Answer> {
  return appendRecords(call, records, unit, ({ entries, checkpoint }) => {
    let list = ''
    for (let i = 0; i < records.length; i++) {
      const entry = entries[i]
      if (entry === undefined) throw new Error('append returned too few entries')
      list += `${i === 0 ? '' : ','}{${entryMembers((records[i] as SentRecord).id, entry)}}`
    }
    return jsonAnswer(`{"entries":[${list}],"checkpoint":${JSON.stringify(checkpoint)}}`)
  })
}

/** Returns the members of a receipt, without braces. */
export function entryMembers(id: string, entry: Appended): string {
  const { author } = entry
  return (
    `"cursor":${entry.index + 1},"payload_id":${JSON.stringify(id)},"index":${entry.index},` +
    `"parts":${entry.parts},"leaf_hash":"${entry.leafHash}","time":"${entry.time}","duplicate":${entry.duplicate}` +
    (author === undefined ? '' : `,"author":${authorJson(author)}`)
  )
}

function rawRecord(request: WireRequest, header: string, limits: Limits, codec: Codec): SentRecord {
  const names = rawNames(request, header, codec)
  checkSize(request.body.length, 'body', limits, undefined)
  return { ...names, payload: request.body }
}

function rawNames(
  request: Pick<WireRequest, 'header'>,
  header: string,
  codec: Codec,
): Omit<SentRecord, 'payload'> {
  const id = checkedId(headerText(header, codec), 'X-Payload-ID', undefined, codec)
  const type = request.header('content-type') ?? 'application/octet-stream'
  const until = request.header(RETAIN_HEADER)
  const fields = until === undefined ? {} : { fields: retainFields(until, 'X-Retain-Until', undefined) }
  const signature = request.header(SIGNATURE_HEADER)
  return {
    id,
    type: checkedType(type, 'Content-Type', undefined),
    ...fields,
    ...(signature === undefined ? {} : { signature }),
  }
}

/** Decodes a header value, in which each character stands for one byte, as UTF-8. */
function headerText(value: string, codec: Codec): string {
  // oxlint-disable-next-line no-control-regex
  if (/^[\x00-\x7f]*$/.test(value)) return value
  try {
    return codec.utf8Decode(Uint8Array.from(value, (character) => character.charCodeAt(0)))
  } catch {
    throw badField('X-Payload-ID', 'UTF-8', value)
  }
}
