/** POST /v1/append: a record as JSON or as raw bytes, or a batch as NDJSON. The server responds when the commit is durable. */
import { idProblem, typeProblem } from '@service-fs/format/entry'
import type { Appended, NewRecord } from '@service-fs/ledger/record'
import type { Codec } from '@service-fs/tlog/codec'
import * as v from 'valibot'

import { checkCharset } from './body-meaning.ts'
import { appendRecords } from './append-records.ts'
import { allowanceFor, canonicalJson, JsonError, parseJson, type Allowance } from './canonicaljson.ts'
import { answer, jsonAnswer, type Answer, type Call } from './call.ts'
import { badField } from './fields.ts'
import type { Limits } from './limits.ts'
import { plainRecord } from './plain-record.ts'
import { Problem } from './problem.ts'
import { accepts, mediaType, NDJSON, TLOG_PROOF, type WireRequest } from './request.ts'

const ID_HEADER = 'x-payload-id'
/** Bytes of a JSON append besides its payload: identifier and type with escapes, names, punctuation. */
const JSON_SLACK = 4096

const appendSchema = v.strictObject({
  payload_id: v.string(),
  payload: v.optional(v.unknown()),
  payload_base64: v.optional(v.string()),
  type: v.optional(v.string()),
})

/** Returns the largest body, in bytes, of a request to /v1/append with these headers. A larger body is 413. */
export function appendBodyLimit(request: Pick<WireRequest, 'header'>, limits: Limits): number {
  if (request.header(ID_HEADER) !== undefined) return limits.maxPayload
  if (request.header('content-type')?.toLowerCase().startsWith(NDJSON) === true) return limits.maxBatchBytes
  // Base64 in JSON is a third longer than the payload.
  return Math.ceil(limits.maxPayload / 3) * 4 + JSON_SLACK
}

/** Checks the headers that no body can correct. @throws Problem 400, 415 */
export function appendHead(request: Pick<WireRequest, 'header'>, codec: Codec): void {
  const rawId = request.header(ID_HEADER)
  if (rawId === undefined) jsonType(request)
  else rawNames(request, rawId, codec)
}

export async function append(call: Call): Promise<Answer> {
  const { request, options, limits } = call
  const rawId = request.header(ID_HEADER)
  if (rawId !== undefined) return appendOne(call, rawRecord(request, rawId, limits, options.codec))
  if (jsonType(request) === NDJSON) return appendMany(call)
  const text = decodeBody(request.body, options.codec)
  const allowance = allowanceFor(text, limits.maxValues)
  const reading = { limits, codec: options.codec, allowance }
  const plain =
    options.scansBytes === true ? scanned(request.body, 0, request.body.length, reading) : undefined
  return appendOne(call, plain ?? jsonRecord(text, reading))
}

function jsonType(request: Pick<WireRequest, 'header'>): string {
  const type = mediaType(request)
  checkCharset(request.header('content-type') ?? '')
  if (type === NDJSON || type === 'application/json') return type
  const expected = 'application/json, application/x-ndjson, or X-Payload-ID with any type'
  throw badField('Content-Type', expected, type ?? 'nothing')
}

async function appendOne(call: Call, record: NewRecord): Promise<Answer> {
  return appendRecords(call, [record], async ({ entries, checkpoint }) => {
    const [entry] = entries
    if (entry === undefined) throw new Error('append returned no entry')
    if (accepts(call.request, TLOG_PROOF)) {
      return answer(`${TLOG_PROOF}; charset=utf-8`, await call.ledger.tlogProof(entry.index))
    }
    return jsonAnswer(`{${entryMembers(record, entry)},"checkpoint":${JSON.stringify(checkpoint)}}`)
  })
}

async function appendMany(call: Call): Promise<Answer> {
  const records = batchRecords(call)
  return appendRecords(call, records, ({ entries, checkpoint }) => {
    let list = ''
    for (const [i, record] of records.entries()) {
      const entry = entries[i]
      if (entry === undefined) throw new Error('append returned too few entries')
      list += `${i === 0 ? '' : ','}{${entryMembers(record, entry)}}`
    }
    return jsonAnswer(`{"entries":[${list}],"checkpoint":${JSON.stringify(checkpoint)}}`)
  })
}

function entryMembers(record: NewRecord, entry: Appended): string {
  return (
    `"cursor":${entry.index + 1},"payload_id":${JSON.stringify(record.id)},"index":${entry.index},` +
    `"parts":${entry.parts},"leaf_hash":"${entry.leafHash}","time":"${entry.time}","duplicate":${entry.duplicate}`
  )
}

function rawRecord(request: WireRequest, header: string, limits: Limits, codec: Codec): NewRecord {
  const names = rawNames(request, header, codec)
  checkSize(request.body.length, 'body', limits, undefined)
  return { ...names, payload: request.body }
}

function rawNames(
  request: Pick<WireRequest, 'header'>,
  header: string,
  codec: Codec,
): Pick<NewRecord, 'id' | 'type'> {
  const id = checkedId(headerText(header, codec), 'X-Payload-ID', undefined, codec)
  const type = request.header('content-type') ?? 'application/octet-stream'
  return { id, type: checkedType(type, 'Content-Type', undefined) }
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

function batchRecords(call: Call): NewRecord[] {
  const { request, limits, options } = call
  const { body } = request
  if (options.scansBytes === true && body.length < 2 * limits.maxValues) return scannedBatch(body, call)
  const { lines, allowance } = batchLines(body, options.codec, limits)
  checkLines(lines.length, limits)
  const reading = { limits, codec: options.codec, allowance }
  return lines.map((line, i) => jsonRecord(line, reading, i + 1))
}

function checkLines(lines: number, { maxBatch }: Limits): void {
  if (lines === 0) throw badField('body', 'at least one line', 'none')
  if (lines <= maxBatch) return
  throw new Problem('too-large', `body: expected at most ${maxBatch} lines, found ${lines}`, {
    field: 'body',
    expected: maxBatch,
    supplied: lines,
  })
}

/** Returns the records of a body that is too short for more than `maxValues` values. */
function scannedBatch(body: Uint8Array, { limits, options: { codec } }: Call): NewRecord[] {
  decodeBody(body, codec)
  const ends: number[] = []
  for (let end = body.indexOf(LINE_FEED); end >= 0; end = body.indexOf(LINE_FEED, end + 1)) ends.push(end)
  if ((ends.at(-1) ?? -1) + 1 < body.length) ends.push(body.length)
  checkLines(ends.length, limits)
  const reading = { limits, codec, allowance: undefined }
  return ends.map((end, i) => {
    const start = (ends[i - 1] ?? -1) + 1
    const plain = scanned(body, start, end, reading, i + 1)
    return plain ?? jsonRecord(codec.utf8Decode(body.subarray(start, end)), reading, i + 1)
  })
}

const LINE_FEED = 0x0a

/** Returns the record in `body` from `start` to `end`; undefined if only the parser can read it. */
function scanned(
  body: Uint8Array,
  start: number,
  end: number,
  { limits, codec, allowance }: Reading,
  line?: number,
): NewRecord | undefined {
  const plain = allowance === undefined ? plainRecord(body, start, end, codec) : undefined
  if (plain === undefined) return undefined
  const id = checkedId(plain.id, 'payload_id', line, codec)
  checkSize(plain.payload.length, 'payload', limits, line)
  const type = checkedType(plain.type ?? 'application/json', 'type', line)
  return { id, type, payload: plain.payload }
}

/**
 * Returns the lines of a batch and the number of JSON values that they may have together. The text is local to this function, so
 * that an engine with little memory can free it before the lines are parsed.
 */
function batchLines(
  body: Uint8Array,
  codec: Codec,
  { maxValues }: Limits,
): { lines: string[]; allowance: Allowance | undefined } {
  const text = decodeBody(body, codec)
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  return { lines, allowance: allowanceFor(text, maxValues) }
}

function decodeBody(body: Uint8Array, codec: Codec): string {
  // NUL is invalid in JSON, and the QuickJS host codec cannot decode it.
  if (body.includes(0)) throw badField('body', 'text without NUL bytes', 'a NUL byte')
  try {
    return codec.utf8Decode(body)
  } catch {
    throw badField('body', 'UTF-8', 'invalid bytes')
  }
}

interface Reading {
  readonly limits: Limits
  readonly codec: Codec
  readonly allowance: Allowance | undefined
}

/** Parses one JSON text `{payload_id, payload | payload_base64, type?}` as a record. In a batch, `line` counts from 1. */
function jsonRecord(text: string, { limits, codec, allowance }: Reading, line?: number): NewRecord {
  const value = read(() => parseJson(text, allowance), 'body', limits, line)
  if (Array.isArray(value)) throw badField('body', 'a JSON object', 'an array', line)
  const parsed = v.safeParse(appendSchema, value, { abortEarly: true })
  if (!parsed.success) throw schemaProblem(parsed.issues[0], line)
  const { payload_id, payload, payload_base64, type } = parsed.output
  const isJson = 'payload' in parsed.output
  const id = checkedId(payload_id, 'payload_id', line, codec)
  if (isJson === (payload_base64 !== undefined)) {
    throw badField('payload', 'either payload or payload_base64', isJson ? 'both' : 'none', line)
  }
  const bytes =
    payload_base64 === undefined
      ? codec.utf8Encode(read(() => canonicalJson(payload), 'payload', limits, line))
      : decodePayload(payload_base64, limits, codec, line)
  checkSize(bytes.length, 'payload', limits, line)
  return { id, type: checkedType(type ?? 'application/json', 'type', line), payload: bytes }
}

function decodePayload(text: string, limits: Limits, codec: Codec, line: number | undefined): Uint8Array {
  checkSize(Math.floor(text.length / 4) * 3 - 2, 'payload_base64', limits, line)
  try {
    return codec.base64Decode(text)
  } catch {
    throw badField('payload_base64', 'canonical base64 with padding (RFC 4648 §4)', text, line)
  }
}

function read<T>(parse: () => T, field: string, limits: Limits, line: number | undefined): T {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    const where = line === undefined ? field : `line ${line}: ${field}`
    const members = { field, ...(line === undefined ? {} : { line }) }
    if (error.code === 'malformed') throw new Problem('bad-request', `${where}: ${error.message}`, members)
    const detail = `${where}: expected at most ${limits.maxValues} JSON values and member names in a body, found more`
    throw new Problem('too-large', detail, { ...members, expected: limits.maxValues, supplied: 'more' })
  }
}

function schemaProblem(issue: v.InferIssue<typeof appendSchema>, line: number | undefined): Problem {
  const path = v.getDotPath(issue)
  if (path === null) return badField('body', 'a JSON object', issue.received, line)
  if (issue.expected === 'never') {
    return badField(path, 'one of payload_id, payload, payload_base64, type', 'an unknown field', line)
  }
  return badField(path, issue.expected ?? 'a valid value', issue.received, line)
}

function checkedId(id: string, field: string, line: number | undefined, codec: Codec): string {
  const problem = idProblem(id, codec)
  if (problem === undefined) return id
  throw badField(field, '1 to 256 bytes of UTF-8 without control characters', JSON.stringify(id), line)
}

const TOKEN = "[\\w!#$%&'*+.^`|~-]+"
const MEDIA_TYPE = new RegExp(
  `^${TOKEN}/${TOKEN}(?:[ \\t]*;[ \\t]*${TOKEN}=(?:${TOKEN}|"[ !#-\\[\\]-~]*"))*$`,
)

/** Returns `type` if it is a media type, parameters included (RFC 9110 §8.3.1), of at most 255 bytes. @throws Problem 400 */
function checkedType(type: string, field: string, line: number | undefined): string {
  if (type === 'application/json') return type
  if (type.length <= 255 && MEDIA_TYPE.test(type) && typeProblem(type) === undefined) return type
  throw badField(
    field,
    'a media type of at most 255 bytes, such as application/pdf',
    JSON.stringify(type),
    line,
  )
}

function checkSize(length: number, field: string, limits: Limits, line: number | undefined): void {
  if (length <= limits.maxPayload) return
  const where = line === undefined ? field : `line ${line}: ${field}`
  throw new Problem(
    'too-large',
    `${where}: expected at most ${limits.maxPayload} bytes of payload, found ${length}`,
    {
      field,
      ...(line === undefined ? {} : { line }),
      expected: limits.maxPayload,
      supplied: length,
    },
  )
}
