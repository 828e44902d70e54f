/** A selection of records by their headers: time, type, and the start of the identifier. */
import { pureCodec, type Codec } from '@service-fs/tlog/codec'
import { idProblem, typeProblem, type EntryHeader } from './entry.ts'
import { FormatError } from './errors.ts'
import { isTime } from './time.ts'

/** The conditions of a selection. A record must meet each one that is present. */
export interface SelectionFields {
  /** The earliest time, such as `2026-11-22T18:43:00.123Z`. */
  readonly from?: string
  /** The first time after the selection. */
  readonly to?: string
  /** The media type, exactly. */
  readonly type?: string
  /** How the identifier starts, compared as UTF-8 bytes: at least 1 byte and at most 256. */
  readonly prefix?: string
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
export class Selection implements SelectionFields {
  readonly from?: string
  readonly to?: string
  readonly type?: string
  readonly prefix?: string

  /** @throws SelectionError that names the first invalid condition */
  constructor({ from, to, type, prefix }: SelectionFields, codec: Codec = pureCodec) {
    if (from !== undefined) this.from = checkedTime('from', from)
    if (to !== undefined) this.to = checkedTime('to', to)
    if (from !== undefined && to !== undefined && to < from)
      throw new SelectionError('to', `a time that is not before from (${from})`, to)
    if (type !== undefined) this.type = checkedText('type', type, typeProblem(type, codec))
    if (prefix !== undefined) this.prefix = checkedText('prefix', prefix, idProblem(prefix, codec))
  }

  /** Whether the selection has every record. */
  get isAll(): boolean {
    return (this.from ?? this.to ?? this.type ?? this.prefix) === undefined
  }

  /** Reports whether the record of an entry with this header meets every condition. Every part of a split record gives the same answer. */
  selects(header: Pick<EntryHeader, 'id' | 'type' | 'time'>): boolean {
    return this.selectsTime(header.time) && this.selectsName(header)
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

/** `problem`: a text from entry.ts, "expected …" or "expected …, found …". */
function checkedText(field: 'type' | 'prefix', text: string, problem: string | undefined): string {
  if (problem === undefined) return text
  throw new SelectionError(field, problem.replace(/^expected /, '').replace(/, found .*$/, ''), text)
}
