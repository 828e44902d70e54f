/**
 * Entries of a ledger: a short text header, an empty line, and the payload bytes.
 *
 * ```
 * service-fs/entry/v1
 * id: invoice-2026-0001
 * type: application/json
 * time: 2026-11-22T18:43:00.123Z
 *
 * {"total":12}
 * ```
 */
import { concatBytes, pureCodec, type Codec } from '@service-fs/tlog/codec'
import { parseDecimal } from '@service-fs/tlog/math'
import { FormatError } from './errors.ts'
import { isTime } from './time.ts'

/** Bytes of the longest entry. c2sp.org/tlog-tiles stores its length as a uint16. */
export const MAX_ENTRY_BYTES = 65_535
/** Bytes of the longest header, empty line included. MAX_HEADER_BYTES + PART_BYTES = MAX_ENTRY_BYTES. */
export const MAX_HEADER_BYTES = 4_095
/** Payload bytes in each part of a split record, except the last, which has the rest. */
export const PART_BYTES = 61_440
export const MAX_ID_BYTES = 256
export const MAX_TYPE_BYTES = 255

const MAGIC = 'service-fs/entry/v1'
// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/
/** Printable ASCII: one byte for each character. */
const PRINTABLE = /^[ -~]*$/
const SURROGATE = /\p{Surrogate}/u
const FIELD_NAME = /^[a-z][a-z0-9-]{0,63}$/
const SHA256_HEX = /^[0-9a-f]{64}$/
const PART = /^([1-9]\d*)\/([1-9]\d*)$/
const RESERVED: ReadonlySet<string> = new Set(['id', 'type', 'time', 'part', 'parts', 'length', 'sha256'])

/** A header field beyond `id`, `type` and `time`. */
export type Field = readonly [name: string, value: string]

/** The header of an entry. */
export interface EntryHeader {
  id: string
  type: string
  /** RFC 3339 in UTC with milliseconds. */
  time: string
  /** The other fields, sorted by name. */
  fields: readonly Field[]
}

/** Returns the value of a header field; undefined if the header does not have it. */
export function fieldOf({ fields }: Pick<EntryHeader, 'fields'>, name: string): string | undefined {
  return fields.find(([found]) => found === name)?.[1]
}

/** A parsed entry. */
export interface Entry {
  header: EntryHeader
  /** Bytes of the header, empty line included: the offset of the payload. */
  headerLength: number
  payload: Uint8Array
  /** Set on the first part of a split record: the number of parts, and the length and SHA-256 of the whole payload. */
  split?: { parts: number; length: number; sha256: string }
  /** Set on the later parts of a split record. `part` counts from 1. */
  continuation?: { part: number; of: number }
}

/** A record to append. It becomes one entry, or several when the payload is large. */
export interface RecordContent {
  id: string
  type: string
  time: string
  fields?: readonly Field[]
  payload: Uint8Array
}

/** Returns the SHA-256 of `data` as 64 lower-case hexadecimal digits. */
export type Sha256Hex = (data: Uint8Array) => string

/** Returns why a record's identifier is invalid; undefined if it is valid (1 to 256 bytes of UTF-8, no control characters). */
export function idProblem(id: string, codec: Codec = pureCodec): string | undefined {
  return textProblem(id, MAX_ID_BYTES, codec)
}

/** Returns why a record's media type is invalid; undefined if it is valid (1 to 255 bytes of UTF-8, no control characters). */
export function typeProblem(type: string, codec: Codec = pureCodec): string | undefined {
  return textProblem(type, MAX_TYPE_BYTES, codec)
}

/** Returns why the fields after `id`, `type` and `time` are invalid (names, order or values); undefined if they are valid. */
export function fieldsProblem(fields: readonly Field[]): string | undefined {
  let last = ''
  for (const [name, value] of fields) {
    if (!FIELD_NAME.test(name))
      return `field name ${JSON.stringify(name)}: expected [a-z][a-z0-9-]*, at most 64 characters`
    if (RESERVED.has(name)) return `field name ${name} is reserved`
    if (name <= last)
      return `field ${name}: expected names in ascending order, each once, found it after ${last}`
    if (CONTROL.test(value) || SURROGATE.test(value))
      return `field ${name}: expected text without control characters`
    last = name
  }
  return undefined
}

function textProblem(text: string, maxBytes: number, codec: Codec): string | undefined {
  if (text.length > 0 && text.length <= maxBytes && PRINTABLE.test(text)) return undefined
  if (text.length === 0) return `expected 1 to ${maxBytes} bytes, found none`
  if (CONTROL.test(text)) return 'expected no control characters'
  if (SURROGATE.test(text)) return 'expected well-formed Unicode, found a lone surrogate'
  // A UTF-16 code unit is at most 3 bytes of UTF-8, so only long text needs to be measured.
  if (text.length * 3 > maxBytes) {
    const bytes = codec.utf8Encode(text).length
    if (bytes > maxBytes) return `expected 1 to ${maxBytes} bytes, found ${bytes}`
  }
  return undefined
}

function headerText(content: RecordContent, extra: readonly Field[]): string {
  let text = `${MAGIC}\nid: ${content.id}\ntype: ${content.type}\ntime: ${content.time}\n`
  for (const [name, value] of extra) text += `${name}: ${value}\n`
  return text + '\n'
}

function byName(a: Field, b: Field): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0
}

/**
 * Returns the entries of a record, in order. If header and payload do not fit 65,535 bytes, it splits the payload into parts of
 * PART_BYTES bytes. The first part has the fields `length`, `parts` and `sha256`; the others have a field such as `part: 2/5`.
 * @throws FormatError `bad-entry` for an invalid id, type, time or field; `header-too-large`
 */
export function entriesOf(
  content: RecordContent,
  sha256Hex: Sha256Hex,
  codec: Codec = pureCodec,
): Uint8Array[] {
  return [...eachEntryOf(content, sha256Hex, codec)]
}

/**
 * Makes the entries of {@link entriesOf}; those of a split record one at a time, so that a caller that copies them holds only one.
 * @throws FormatError
 */
export function eachEntryOf(
  content: RecordContent,
  sha256Hex: Sha256Hex,
  codec: Codec,
): Iterable<Uint8Array> {
  const fields = content.fields ?? []
  const problem =
    prefixed('id', idProblem(content.id, codec)) ??
    prefixed('type', typeProblem(content.type, codec)) ??
    (isTime(content.time)
      ? undefined
      : `time: expected RFC 3339 in UTC with milliseconds, found ${content.time}`) ??
    (fields.length === 0 ? undefined : fieldsProblem(fields))
  if (problem !== undefined) throw new FormatError('bad-entry', problem)
  const header = codec.utf8Encode(headerText(content, fields))
  if (header.length > MAX_HEADER_BYTES) throw headerTooLarge(header.length)
  if (header.length + content.payload.length <= MAX_ENTRY_BYTES)
    return [codec.concat(header, content.payload)]
  return splitEntries(content, fields, sha256Hex, codec)
}

function* splitEntries(
  content: RecordContent,
  fields: readonly Field[],
  sha256Hex: Sha256Hex,
  codec: Codec,
): Generator<Uint8Array, void, undefined> {
  const { payload } = content
  const parts = Math.ceil(payload.length / PART_BYTES)
  const whole: Field[] = [
    ['length', String(payload.length)],
    ['parts', String(parts)],
    ['sha256', sha256Hex(payload)],
  ]
  for (let part = 1; part <= parts; part++) {
    const extra: Field[] = part === 1 ? [...fields, ...whole].sort(byName) : [['part', `${part}/${parts}`]]
    const header = codec.utf8Encode(headerText(content, extra))
    if (header.length > MAX_HEADER_BYTES) throw headerTooLarge(header.length)
    yield codec.concat(header, payload.subarray((part - 1) * PART_BYTES, part * PART_BYTES))
  }
}

function headerTooLarge(found: number): FormatError {
  return new FormatError(
    'header-too-large',
    `header: expected at most ${MAX_HEADER_BYTES} bytes, found ${found}`,
  )
}

function prefixed(name: string, problem: string | undefined): string | undefined {
  return problem === undefined ? undefined : `${name}: ${problem}`
}

function badEntry(message: string): FormatError {
  return new FormatError('bad-entry', message)
}

function headerEnd(bytes: Uint8Array): number {
  const limit = Math.min(bytes.length, MAX_HEADER_BYTES)
  for (let at = bytes.indexOf(10); at >= 0 && at + 1 < limit; at = bytes.indexOf(10, at + 1))
    if (bytes[at + 1] === 10) return at + 2
  throw badEntry(`expected an empty line that ends the header within ${MAX_HEADER_BYTES} bytes, found none`)
}

/**
 * Parses an entry. The payload is a view of `bytes`.
 * @throws FormatError `bad-entry`; TlogError `utf8`
 */
export function parseEntry(bytes: Uint8Array, codec: Codec = pureCodec): Entry {
  const headerLength = headerEnd(bytes)
  const lines = codec.utf8Decode(bytes.subarray(0, headerLength - 2)).split('\n')
  if (lines[0] !== MAGIC)
    throw badEntry(`expected a first line ${MAGIC}, found ${JSON.stringify(lines[0]?.slice(0, 40))}`)
  const id = valueOf(lines[1], 'id')
  const type = valueOf(lines[2], 'type')
  const time = valueOf(lines[3], 'time')
  const problem = prefixed('id', idProblem(id, codec)) ?? prefixed('type', typeProblem(type, codec))
  if (problem !== undefined) throw badEntry(problem)
  if (!isTime(time)) throw badEntry(`time: expected RFC 3339 in UTC with milliseconds, found ${time}`)
  const fields: Field[] = []
  for (let i = 4; i < lines.length; i++) fields.push(parseField(lines[i] ?? '', fields.at(-1)?.[0] ?? ''))
  const entry: Entry = {
    header: { id, type, time, fields },
    headerLength,
    payload: bytes.subarray(headerLength),
  }
  return withParts(entry)
}

function valueOf(line: string | undefined, name: string): string {
  if (line === undefined || !line.startsWith(name + ': '))
    throw badEntry(`expected a header line "${name}: …", found ${JSON.stringify(line?.slice(0, 40))}`)
  return line.slice(name.length + 2)
}

function parseField(line: string, last: string): Field {
  const colon = line.indexOf(': ')
  const name = line.slice(0, Math.max(colon, 0))
  const value = line.slice(colon + 2)
  if (colon < 0 || !FIELD_NAME.test(name))
    throw badEntry(`expected a header line "name: value", found ${JSON.stringify(line.slice(0, 40))}`)
  if (name === 'id' || name === 'type' || name === 'time') throw badEntry(`duplicate header line ${name}`)
  if (name <= last)
    throw badEntry(
      `header line ${name}: expected names in ascending order, each once, found it after ${last}`,
    )
  if (CONTROL.test(value)) throw badEntry(`header line ${name}: expected no control characters`)
  return [name, value]
}

function withParts(entry: Entry): Entry {
  const field = (name: string): string | undefined => fieldOf(entry.header, name)
  const [part, parts, length, sha256] = [field('part'), field('parts'), field('length'), field('sha256')]
  if (part !== undefined) {
    const match = PART.exec(part)
    const at = parseDecimal(match?.[1] ?? '')
    const of = parseDecimal(match?.[2] ?? '')
    if (at === undefined || of === undefined || at < 2 || at > of)
      throw badEntry(`part: expected K/N with 2 ≤ K ≤ N, found ${part}`)
    if (entry.header.fields.length !== 1)
      throw badEntry('part: expected no fields but id, type, time and part')
    return { ...entry, continuation: { part: at, of } }
  }
  if (parts === undefined && length === undefined && sha256 === undefined) return entry
  const count = parseDecimal(parts ?? '')
  const bytes = parseDecimal(length ?? '')
  if (count === undefined || bytes === undefined || !SHA256_HEX.test(sha256 ?? ''))
    throw badEntry(
      'expected parts, length and sha256 (64 hex digits) together on the first part of a split record',
    )
  if (count < 2 || count !== Math.ceil(bytes / PART_BYTES))
    throw badEntry(`parts: expected ${Math.ceil(bytes / PART_BYTES)} for ${bytes} bytes, found ${count}`)
  if (entry.payload.length !== PART_BYTES)
    throw badEntry(`expected ${PART_BYTES} payload bytes in the first part, found ${entry.payload.length}`)
  return { ...entry, split: { parts: count, length: bytes, sha256: sha256 ?? '' } }
}

/** Returns the payload bytes of part `part`, which counts from 1, of a payload of `length` bytes. */
export function partLength(part: number, length: number): number {
  return Math.min(PART_BYTES, length - (part - 1) * PART_BYTES)
}

/**
 * Joins the parts of a split record, given in order. Checks that they have the same id, type and time and are consecutive, and
 * checks their lengths and the SHA-256.
 * @throws FormatError `bad-record` that names the first wrong part
 */
export function joinParts(entries: readonly Entry[], sha256Hex: Sha256Hex): Uint8Array {
  const first = entries[0]
  if (first === undefined || first.continuation !== undefined)
    throw new FormatError('bad-record', 'expected the first part of a record')
  if (first.split === undefined) return first.payload
  const { parts, length, sha256 } = first.split
  if (entries.length !== parts)
    throw new FormatError('bad-record', `expected ${parts} parts, found ${entries.length}`)
  for (let i = 1; i < parts; i++) {
    const entry = entries[i] as Entry
    const { header, continuation, payload } = entry
    const same =
      header.id === first.header.id && header.type === first.header.type && header.time === first.header.time
    if (
      !same ||
      continuation?.part !== i + 1 ||
      continuation.of !== parts ||
      payload.length !== partLength(i + 1, length)
    ) {
      throw new FormatError(
        'bad-record',
        `record ${JSON.stringify(first.header.id)}: entry ${i} after its first: expected part ${i + 1}/${parts}`,
      )
    }
  }
  const payload = concatBytes(...entries.map((entry) => entry.payload))
  const found = sha256Hex(payload)
  if (found !== sha256)
    throw new FormatError(
      'bad-record',
      `record ${JSON.stringify(first.header.id)}: expected sha256 ${sha256}, found ${found}`,
    )
  return payload
}
