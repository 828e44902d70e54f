/** A selection of records by time, type, the start of the identifier, and fields of their JSON. */
import { pureCodec, type Codec } from '@service-fs/tlog/codec'
import { idProblem, typeProblem, type EntryHeader } from './entry.ts'
import { FormatError } from './errors.ts'
import { parseCondition, payloadTest, type FieldCondition } from './json-fields.ts'
import { isTime } from './time.ts'

/** Conditions on fields in one selection. */
export const MAX_WHERE = 8

/** The conditions of a selection. A record must meet each condition that is present. */
export interface SelectionFields {
  /** The earliest time, such as `2026-11-22T18:43:00.123Z`. */
  readonly from?: string
  /** The first time after the selection. */
  readonly to?: string
  /** The media type, exactly. */
  readonly type?: string
  /** The start of the identifier, compared as UTF-8 bytes: 1 to 256 bytes. */
  readonly prefix?: string
  /** Fields and their values, such as `/customer/id=4711`: see json-fields.ts. */
  readonly where?: readonly string[]
}

/** A condition that is invalid. */
export class SelectionError extends FormatError {
  /** The name of the condition. */
  readonly field: keyof SelectionFields
  readonly expected: string
  readonly found: string

  constructor(field: keyof SelectionFields, expected: string, found: string) {
    super('bad-selection', `${field}: expected ${expected}, found ${JSON.stringify(found)}`)
    this.name = 'SelectionError'
    this.field = field
    this.expected = expected
    this.found = found
  }
}

/** A valid selection. */
export class Selection implements Omit<SelectionFields, 'where'> {
  readonly from?: string
  readonly to?: string
  readonly type?: string
  readonly prefix?: string
  /** At least one condition on a field, if there is any. */
  readonly where?: readonly FieldCondition[]
  readonly #meets: (payload: Uint8Array) => boolean

  /** @throws SelectionError that names the first invalid condition */
  constructor({ from, to, type, prefix, where = [] }: SelectionFields, codec: Codec = pureCodec) {
    if (from !== undefined) this.from = checkedTime('from', from)
    if (to !== undefined) this.to = checkedTime('to', to)
    if (from !== undefined && to !== undefined && to < from)
      throw new SelectionError('to', `a time that is not before from (${from})`, to)
    if (type !== undefined) this.type = checkedText('type', type, typeProblem(type, codec))
    if (prefix !== undefined) this.prefix = checkedText('prefix', prefix, idProblem(prefix, codec))
    if (where.length > 0) this.where = checkedWhere(where)
    this.#meets = payloadTest(this.where ?? [], codec)
  }

  /** Whether the selection has every record. */
  get isAll(): boolean {
    return (this.from ?? this.to ?? this.type ?? this.prefix ?? this.where) === undefined
  }

  /**
   * Reports whether the record of an entry with this header meets every condition but those on fields. Every part of a split record gives
   * the same answer.
   */
  selects(header: Pick<EntryHeader, 'id' | 'type' | 'time'>): boolean {
    return this.selectsTime(header.time) && this.selectsName(header)
  }

  /** Reports whether a record with this payload meets the conditions on fields. */
  selectsPayload(payload: Uint8Array): boolean {
    return this.where === undefined || this.#meets(payload)
  }

  /** Reports whether `time` is in the interval from `from` up to, not including, `to`. */
  selectsTime(time: string): boolean {
    // Times have a fixed length, so their texts are in the order of the times.
    return (this.from === undefined || time >= this.from) && (this.to === undefined || time < this.to)
  }

  /** Reports whether the type and the identifier meet their conditions. */
  selectsName({ id, type }: Pick<EntryHeader, 'id' | 'type'>): boolean {
    // Both texts are well-formed, so one is a prefix of the other exactly when its UTF-8 form is.
    return (
      (this.type === undefined || type === this.type) &&
      (this.prefix === undefined || id.startsWith(this.prefix))
    )
  }
}

function checkedTime(field: 'from' | 'to', time: string): string {
  if (isTime(time)) return time
  throw new SelectionError(field, 'RFC 3339 in UTC with milliseconds, like 2026-11-22T18:43:00.123Z', time)
}

function checkedWhere(where: readonly string[]): FieldCondition[] {
  if (where.length > MAX_WHERE)
    throw new SelectionError('where', `at most ${MAX_WHERE} conditions`, `${where.length} conditions`)
  return where.map((text) => {
    const condition = parseCondition(text)
    if (typeof condition === 'string') throw new SelectionError('where', condition, text)
    return condition
  })
}

/** `problem`: a text from entry.ts, "expected …" or "expected …, found …". */
function checkedText(field: 'type' | 'prefix', text: string, problem: string | undefined): string {
  if (problem === undefined) return text
  throw new SelectionError(field, problem.replace(/^expected /, '').replace(/, found .*$/, ''), text)
}
