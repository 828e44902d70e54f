/** Reads records from JSON bodies: one record, or a line each in NDJSON. A problem names the field and, in a batch, the line. */
import type { Codec } from '@service-fs/tlog/codec'
import { TlogError } from '@service-fs/tlog/errors'
import * as v from 'valibot'

import { allowanceFor, canonicalJson, JsonError, parseJson, type Allowance } from './canonicaljson.ts'
import { badField, inPlace, type Place } from './fields.ts'
import type { Limits } from './limits.ts'
import { plainRecord } from './plain-record.ts'
import { Problem } from './problem.ts'
import { checkCount, checkedId, checkedType, checkSize, retainFields } from './record-fields.ts'
import type { SentRecord } from './authors.ts'

/** How to read records. */
export interface Reading {
  readonly limits: Pick<Limits, 'maxPayload' | 'maxBatch' | 'maxValues'>
  readonly codec: Codec
  /** Whether to scan bytes before they are parsed: faster where JavaScript is compiled. */
  readonly scansBytes: boolean
  /** Returns the identifier of a record without `payload_id`. If absent, every record must have one. */
  readonly idFor?: (type: string, payload: Uint8Array) => string
}

type ReadLimits = Reading['limits']

const recordSchema = v.strictObject({
  payload_id: v.string(),
  payload: v.optional(v.unknown()),
  payload_base64: v.optional(v.string()),
  type: v.optional(v.string()),
  retain_until: v.optional(v.string()),
  signature: v.optional(v.string()),
})

/** A record that may lack its identifier. */
const unnamedSchema = v.strictObject({ ...recordSchema.entries, payload_id: v.optional(v.string()) })

type RecordMembers = v.InferOutput<typeof unnamedSchema>

/** The members of a record that are strings. */
const TEXTS: ReadonlySet<string> = new Set(
  Object.keys(recordSchema.entries).filter((name) => name !== 'payload'),
)

/** Returns the record of a JSON body. @throws Problem 400, 413 */
export function jsonRecord(body: Uint8Array, reading: Reading): SentRecord {
  return recordIn(body, 0, body.length, reading)
}

/**
 * Returns the record that the JSON text from `start` to `end` describes. `place` is its line in a batch. The text may
 * have as many JSON values as a body may have.
 * @throws Problem 400, 413
 */
export function recordIn(
  bytes: Uint8Array,
  start: number,
  end: number,
  reading: Reading,
  place?: Place,
): SentRecord {
  const { limits, codec, scansBytes } = reading
  const body = bytes.subarray(start, end)
  const isShort = body.length < 2 * limits.maxValues
  if (scansBytes && isShort) {
    checkText(body, codec, place)
    const plain = scanned(bytes, start, end, reading, place)
    if (plain !== undefined) return plain
  }
  const text = decodeBody(body, codec, place)
  const allowance = allowanceFor(text, limits.maxValues)
  const isScanned = scansBytes && !isShort && allowance === undefined
  const plain = isScanned ? scanned(bytes, start, end, reading, place) : undefined
  return plain ?? parsed(text, reading, allowance, place)
}

/** Returns the records of an NDJSON body. @throws Problem 400, 413 */
export function ndjsonRecords(body: Uint8Array, reading: Reading): SentRecord[] {
  const { limits, codec, scansBytes } = reading
  if (scansBytes && body.length < 2 * limits.maxValues) return scannedBatch(body, reading)
  const { lines, allowance } = batchLines(body, codec, limits)
  return lines.map((line, i) => parsed(line, reading, allowance, { line: i + 1 }))
}

/** Returns the records of a body that is too short for more than `maxValues` values. */
function scannedBatch(body: Uint8Array, reading: Reading): SentRecord[] {
  const { limits, codec } = reading
  checkText(body, codec)
  const ends: number[] = []
  for (let start = 0; start < body.length && ends.length <= limits.maxBatch;) {
    const end = body.indexOf(LINE_FEED, start)
    ends.push(end < 0 ? body.length : end)
    start = end < 0 ? body.length : end + 1
  }
  checkCount(ends.length, 'line', limits)
  return ends.map((end, i) => {
    const start = (ends[i - 1] ?? -1) + 1
    const place = { line: i + 1 }
    const plain = scanned(body, start, end, reading, place)
    return plain ?? parsed(codec.utf8Decode(body.subarray(start, end)), reading, undefined, place)
  })
}

const LINE_FEED = 0x0a

/** Returns the record in `body` from `start` to `end`; undefined if only the parser can read it. */
function scanned(
  body: Uint8Array,
  start: number,
  end: number,
  { limits, codec }: Reading,
  place: Place | undefined,
): SentRecord | undefined {
  const plain = plainRecord(body, start, end, codec)
  if (plain === undefined) return undefined
  const id = checkedId(plain.id, 'payload_id', place, codec)
  checkSize(plain.payload.length, 'payload', limits, place)
  const type = checkedType(plain.type ?? 'application/json', 'type', place)
  return { id, type, payload: plain.payload }
}

/**
 * Returns the lines of a batch and the number of JSON values that they may have together. The text is local to this function, so
 * that an engine with little memory can free it before the lines are parsed. Makes at most two lines more than a batch may have.
 * @throws Problem 400, 413
 */
function batchLines(
  body: Uint8Array,
  codec: Codec,
  limits: ReadLimits,
): { lines: string[]; allowance: Allowance | undefined } {
  const text = decodeBody(body, codec)
  const lines = text.split('\n', limits.maxBatch + 2)
  if (lines.at(-1) === '') lines.pop()
  checkCount(Math.min(lines.length, limits.maxBatch + 1), 'line', limits)
  return { lines, allowance: allowanceFor(text, limits.maxValues) }
}

/** Checks bytes as {@link decodeBody} does. @throws Problem 400 */
function checkText(body: Uint8Array, codec: Codec, place?: Place): void {
  if (codec.isUtf8?.(body) !== true || body.includes(0)) decodeBody(body, codec, place)
}

function decodeBody(body: Uint8Array, codec: Codec, place?: Place): string {
  // NUL is invalid in JSON, and the QuickJS host codec cannot decode it.
  if (body.includes(0)) throw badField('body', 'text without NUL bytes', 'a NUL byte', place)
  try {
    return codec.utf8Decode(body)
  } catch (error) {
    // A small engine may be out of memory.
    if (!(error instanceof TlogError)) throw error
    throw badField('body', 'UTF-8', 'invalid bytes', place)
  }
}

/** Parses one JSON text `{payload_id, payload | payload_base64, type?, retain_until?, signature?}` as a record. */
function parsed(
  text: string,
  { limits, codec, idFor }: Reading,
  allowance: Allowance | undefined,
  place: Place | undefined,
): SentRecord {
  const value = read(() => parseJson(text, allowance), 'body', limits, place)
  if (Array.isArray(value)) throw badField('body', 'a JSON object', 'an array', place)
  const isNamed = idFor === undefined
  const members = isRecord(value, isNamed) ? value : checkedMembers(value, isNamed, place)
  const {
    payload_id,
    payload,
    payload_base64,
    type: given = 'application/json',
    retain_until,
    signature,
  } = members
  const isJson = 'payload' in members
  const named = payload_id === undefined ? undefined : checkedId(payload_id, 'payload_id', place, codec)
  if (isJson === (payload_base64 !== undefined)) {
    throw badField('payload', 'either payload or payload_base64', isJson ? 'both' : 'none', place)
  }
  const bytes =
    payload_base64 === undefined
      ? codec.utf8Encode(read(() => canonicalJson(payload), 'payload', limits, place))
      : decodePayload(payload_base64, limits, codec, place)
  checkSize(bytes.length, 'payload', limits, place)
  const type = checkedType(given, 'type', place)
  const id = named ?? checkedId(idFor?.(type, bytes) ?? '', 'payload_id', place, codec)
  return {
    id,
    type,
    payload: bytes,
    ...(retain_until === undefined ? {} : { fields: retainFields(retain_until, 'retain_until', place) }),
    ...(signature === undefined ? {} : { signature }),
  }
}

/**
 * Reports whether a value has only the members of a record, with values of their types, and an identifier if it needs one. This takes an
 * interpreter much less time than the schemas, which are only needed to say what is wrong.
 */
function isRecord(value: unknown, needsId: boolean): value is RecordMembers {
  if (typeof value !== 'object' || value === null) return false
  const members = value as Readonly<Record<string, unknown>>
  for (const name of Object.keys(members))
    if (name !== 'payload' && !(TEXTS.has(name) && typeof members[name] === 'string')) return false
  return !needsId || members['payload_id'] !== undefined
}

/** Returns the members of a record by its schema. @throws Problem 400 */
function checkedMembers(value: unknown, needsId: boolean, place: Place | undefined): RecordMembers {
  const schema = needsId ? recordSchema : unnamedSchema
  const found = v.safeParse(schema, value, { abortEarly: true })
  if (found.success) return found.output
  throw schemaProblem(found.issues[0], place)
}

function decodePayload(text: string, limits: ReadLimits, codec: Codec, place: Place | undefined): Uint8Array {
  checkSize(Math.floor(text.length / 4) * 3 - 2, 'payload_base64', limits, place)
  try {
    return codec.base64Decode(text)
  } catch {
    throw badField('payload_base64', 'canonical base64 with padding (RFC 4648 §4)', text, place)
  }
}

function read<T>(parse: () => T, field: string, limits: ReadLimits, place: Place | undefined): T {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    const where = inPlace(field, place)
    const members = { field, ...place }
    if (error.code === 'malformed') throw new Problem('bad-request', `${where}: ${error.message}`, members)
    const detail = `${where}: expected at most ${limits.maxValues} JSON values and member names in a body, found more`
    throw new Problem('too-large', detail, { ...members, expected: limits.maxValues, supplied: 'more' })
  }
}

function schemaProblem(
  issue: v.InferIssue<typeof recordSchema | typeof unnamedSchema>,
  place: Place | undefined,
): Problem {
  const path = v.getDotPath(issue)
  if (path === null) return badField('body', 'a JSON object', issue.received, place)
  if (issue.expected === 'never') {
    return badField(
      path,
      'one of payload_id, payload, payload_base64, type, retain_until, signature',
      'an unknown field',
      place,
    )
  }
  return badField(path, issue.expected ?? 'a valid value', issue.received, place)
}
