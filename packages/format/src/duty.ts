/**
 * Duty entries: entries by which an operator states how long records must be kept. docs/retention.md specifies them; duties.ts folds them.
 *
 * A duty entry has the type DUTY_TYPE and the header field `duty`. Clients cannot append records of this type.
 */
import type { Codec } from '@service-fs/tlog/codec'
import { fieldOf, idProblem, typeProblem, type Entry } from './entry.ts'
import { isTime } from './time.ts'

/** The type of a duty entry. */
export const DUTY_TYPE = 'application/vnd.service-fs.duty+json'
/** The header field of a duty entry. Its value is the kind. */
export const DUTY_FIELD = 'duty'
/**
 * The start of a duty entry's identifier. The number of the duty entry follows, from 1. Clients cannot append records with such an
 * identifier.
 */
export const DUTY_ID_PREFIX = 'vnd.service-fs.duty/'
/** The header field with the time until which a record must be kept. */
export const RETAIN_FIELD = 'retain-until'
/** The latest time that an entry can state. A duty that would end later ends at this time. */
export const LAST_TIME = '9999-12-31T23:59:59.999Z'

export const TIME_EXPECTED = 'RFC 3339 in UTC with milliseconds, like 2033-11-22T18:43:00.000Z'
const MAX_REASON = 1000
/** The longest payload of a duty entry. So short a payload always fits one entry. */
export const MAX_DUTY_BYTES = 16_384

/** The records to which a policy or a hold applies: all records, the records of a type or with a prefix (or both), or a single record. */
export interface Scope {
  all?: true
  /** The exact media type of the records. */
  type?: string
  /** The start of the records' identifiers. */
  prefix?: string
  /** The identifier of a single record; allowed only in a hold. */
  payload_id?: string
}

interface Stated {
  reason: string
  /** The subject that made the request, and the request's id. */
  subject: string
  request_id: string
}

/** Keep every record of the scope for a period after the record's time, or until a time. */
export interface Policy extends Scope, Stated {
  duty: 'policy'
  /** A number of years or days, like `P6Y` or `P90D`. */
  for?: string
  until?: string
}

/** Keep every record of the scope until the hold is lifted. */
export interface Hold extends Scope, Stated {
  duty: 'hold'
  /** The name of the hold. */
  hold: string
}

export interface Lift extends Stated {
  duty: 'lift'
  hold: string
}

/** Keep one record until a later time. */
export interface Extension extends Stated {
  duty: 'extend'
  payload_id: string
  /** The index of the record's first entry. */
  index: number
  until: string
  /** The time until which the record had to be kept before: by its last extension or by its own field; absent if it had neither. */
  was?: string
}

export type Duty = Policy | Hold | Lift | Extension

/** A problem of a duty. */
export interface DutyProblem {
  field: string
  expected: string
  found: string
}

type Check = (value: unknown, codec: Codec) => string | undefined

/** Characters that are not allowed in a text of one line: control characters, lone surrogates, line separators, bidirectional controls. */
// oxlint-disable-next-line no-control-regex
const UNFIT = /[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]/u
const PERIOD = /^P([1-9]\d{0,5})([YD])$/
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/

const isText = (value: unknown): value is string => typeof value === 'string'

/** For each member, a function that returns a description of valid values, or undefined when the value is valid. */
const CHECKS: Readonly<Record<string, Check>> = {
  all: (value) => (value === true ? undefined : 'true'),
  for: (value) => (isText(value) && PERIOD.test(value) ? undefined : 'a period like P6Y or P90D'),
  hold: (value) =>
    isText(value) && NAME.test(value)
      ? undefined
      : 'a name of 1 to 128 letters, digits, dots, underscores and hyphens',
  index: (value) => (Number.isSafeInteger(value) && Number(value) >= 0 ? undefined : 'the index of an entry'),
  payload_id: (value, codec) =>
    isText(value) && idProblem(value, codec) === undefined
      ? undefined
      : '1 to 256 bytes of UTF-8 without control characters',
  prefix: (value, codec) =>
    isText(value) && idProblem(value, codec) === undefined
      ? undefined
      : '1 to 256 bytes of UTF-8 without control characters',
  reason: (value) =>
    isText(value) && value.trim() !== '' && value.length <= MAX_REASON && !UNFIT.test(value)
      ? undefined
      : `1 to ${MAX_REASON} characters without control characters`,
  request_id: (value) => (isText(value) ? undefined : 'text'),
  subject: (value) => (isText(value) ? undefined : 'text'),
  type: (value, codec) =>
    isText(value) && typeProblem(value, codec) === undefined
      ? undefined
      : 'a media type of at most 255 bytes without control characters',
  until: (value) => (isText(value) && isTime(value) ? undefined : TIME_EXPECTED),
  was: (value) => (isText(value) && isTime(value) ? undefined : TIME_EXPECTED),
}

const STATED = ['reason', 'request_id', 'subject'] as const
const SCOPE = ['all', 'prefix', 'type'] as const

/** The required and the optional members of each kind of duty. */
const KINDS: Readonly<
  Record<Duty['duty'], { required: readonly string[]; optional: readonly string[]; scope: readonly string[] }>
> = {
  policy: { required: STATED, optional: ['for', 'until'], scope: SCOPE },
  hold: { required: ['hold', ...STATED], optional: [], scope: [...SCOPE, 'payload_id'] },
  lift: { required: ['hold', ...STATED], optional: [], scope: [] },
  extend: { required: ['index', 'payload_id', 'until', ...STATED], optional: ['was'], scope: [] },
}

/** Returns a value as a duty, or the first problem of the value. A duty has only the members of its kind. */
export function readDuty(value: unknown, codec: Codec): Duty | DutyProblem {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return {
      field: 'body',
      expected: 'a JSON object',
      found: Array.isArray(value) ? 'an array' : shown(value),
    }
  const members = value as Record<string, unknown>
  const { duty } = members
  if (duty !== 'policy' && duty !== 'hold' && duty !== 'lift' && duty !== 'extend')
    return { field: 'duty', expected: 'policy, hold, lift or extend', found: shown(duty) }
  return memberProblem(duty, members, codec) ?? scopeProblem(duty, members) ?? (members as unknown as Duty)
}

/** Reports whether the result of {@link readDuty} is a problem. */
export function isProblem(read: Duty | DutyProblem): read is DutyProblem {
  return 'field' in read
}

function memberProblem(
  kind: Duty['duty'],
  members: Readonly<Record<string, unknown>>,
  codec: Codec,
): DutyProblem | undefined {
  const { required, optional, scope } = KINDS[kind]
  const known = [...required, ...optional, ...scope].sort()
  for (const name of Object.keys(members))
    if (name !== 'duty' && !known.includes(name))
      return { field: name, expected: `one of duty, ${known.join(', ')}`, found: 'an unknown member' }
  for (const name of known) {
    const value = members[name]
    if (value === undefined && !required.includes(name)) continue
    const expected = CHECKS[name]?.(value, codec)
    if (expected !== undefined) return { field: name, expected, found: shown(value) }
  }
  return undefined
}

function scopeProblem(
  kind: Duty['duty'],
  members: Readonly<Record<string, unknown>>,
): DutyProblem | undefined {
  const has = (name: string): boolean => members[name] !== undefined
  if (kind === 'policy' && has('for') === has('until'))
    return { field: 'for', expected: 'either for or until', found: has('for') ? 'both' : 'none' }
  const { scope } = KINDS[kind]
  if (scope.length === 0) return undefined
  const found = scope.filter(has)
  const isPair = found.length === 2 && has('prefix') && has('type')
  if (found.length === 1 || isPair) return undefined
  const expected = `${scope.filter((name) => name !== 'prefix' && name !== 'type').join(' or ')}, or type, prefix or both`
  return { field: found[0] ?? 'all', expected, found: found.length === 0 ? 'none' : found.join(' and ') }
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing'
  return typeof value === 'string'
    ? JSON.stringify(value.slice(0, 100))
    : value === null
      ? 'null'
      : typeof value
}

/** Returns the payload of a duty entry: RFC 8785 JSON in UTF-8. */
export function dutyPayload(duty: Duty, codec: Codec): Uint8Array {
  const members = Object.entries(duty).sort(([a], [b]) => (a < b ? -1 : 1))
  return codec.utf8Encode(JSON.stringify(Object.fromEntries(members)))
}

/** Returns the duty that an entry states, or its problem; undefined when it is not a duty entry. */
export function dutyIn(entry: Entry, codec: Codec): Duty | DutyProblem | undefined {
  const { header, payload, continuation, split } = entry
  if (header.type !== DUTY_TYPE) return undefined
  const kind = fieldOf(header, DUTY_FIELD)
  if (kind === undefined) return undefined
  if (continuation !== undefined || split !== undefined)
    return { field: 'parts', expected: 'a duty in one entry', found: 'a split record' }
  let value: unknown
  try {
    value = JSON.parse(codec.utf8Decode(payload))
  } catch {
    return { field: 'payload', expected: 'JSON in UTF-8', found: 'invalid JSON' }
  }
  const duty = readDuty(value, codec)
  if (isProblem(duty) || duty.duty === kind) return duty
  return { field: 'duty', expected: `${kind}, as in the header`, found: duty.duty }
}

/** Returns the number and the unit of a valid period. */
export function periodOf(period: string): { count: number; unit: 'Y' | 'D' } {
  const [, count = '', unit] = PERIOD.exec(period) ?? []
  return { count: Number(count), unit: unit === 'Y' ? 'Y' : 'D' }
}

/**
 * Returns the time that is `count` years or days after `time`. A period of years ends on the date on which it began, or on March 1 if it
 * began on February 29 and its last year has no such day. Times after the year 9999 become {@link LAST_TIME}.
 */
export function timeAfter(time: string, count: number, unit: 'Y' | 'D'): string {
  const date = new Date(time)
  if (unit === 'Y') date.setUTCFullYear(date.getUTCFullYear() + count)
  else date.setTime(date.getTime() + count * 86_400_000)
  return Number.isNaN(date.getTime()) || date.getUTCFullYear() > 9999 ? LAST_TIME : date.toISOString()
}
