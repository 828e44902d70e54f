/** The names, times and fields of the entries of one segment, in memory, until all of them are known. */
import { parseEntry } from '@service-fs/format/entry'
import type { SearchField } from '@service-fs/format/json-fields'
import type { Selection } from '@service-fs/format/selection'
import { nativeCodec } from '@service-fs/native/native'
import type { EntryRange } from '@service-fs/wire/search-page'
import { addRecord, FieldValues, hashOf, isFieldOf } from './field-values.ts'

export const BUNDLE = 256

/** The first entry of a record. */
export interface Name {
  /** Index of the entry in its segment. */
  readonly offset: number
  readonly id: string
  readonly type: string
}

/**
 * The earliest and the latest time in a bundle. The time can go back within a bundle, when an operator corrects the
 * clock.
 */
export type Times = readonly [earliest: string, latest: string]

export class Collector {
  /** Index of the first entry. */
  readonly first: number
  readonly names: Name[] = []
  /** The times of the bundles read so far. */
  readonly times: Times[] = []
  /** The values of each declared field. */
  readonly fields: readonly FieldValues[]

  constructor(first: number, fields: readonly SearchField[]) {
    this.first = first
    this.fields = fields.map((field) => new FieldValues(field))
  }

  /** Index after the entries read so far. */
  get end(): number {
    return this.first + this.times.length * BUNDLE
  }

  /** Adds the entries of the next bundle. @throws FormatError, TlogError */
  add(entries: readonly Uint8Array[]): void {
    const start = this.end - this.first
    const names: Name[] = []
    let [earliest, latest] = ['', '']
    for (const [i, bytes] of entries.entries()) {
      const entry = parseEntry(bytes, nativeCodec)
      const { id, type, time } = entry.header
      if (entry.continuation === undefined) {
        names.push({ offset: start + i, id, type })
        addRecord(this.fields, start + i, entry, entries, i)
      }
      if (i === 0 || time < earliest) earliest = time
      if (time > latest) latest = time
    }
    this.names.push(...names)
    this.times.push([earliest, latest])
  }

  /** Returns where the records of a selection may be, from the entry `from` on. */
  ranges(selection: Selection, from: number): EntryRange[] {
    const inTime = bundlesInTime(this.times, selection)
    const { type, prefix, where = [] } = selection
    if (type === undefined && prefix === undefined && where.length === 0)
      return rangesOfBundles(this.first, inTime, from)
    let found = this.names.filter((name) => selection.selectsName(name)).map(({ offset }) => offset)
    for (const { pointer, text } of where) {
      const hash = hashOf(text)
      const fields = this.fields.filter(({ field }) => isFieldOf(field, pointer, type))
      const offsets = new Set(fields.flatMap((values) => values.offsetsOf(hash)))
      found = found.filter((offset) => offsets.has(offset))
    }
    return rangesOfOffsets(this.first, found, inTime, from)
  }
}

/** Returns for each bundle whether one of its entries may have a time of the selection. */
export function bundlesInTime(times: readonly Times[], { from, to }: Selection): boolean[] {
  return times.map(
    ([earliest, latest]) => (from === undefined || latest >= from) && (to === undefined || earliest < to),
  )
}

/** Returns the entries of the chosen bundles, from the entry `from` on. */
export function rangesOfBundles(first: number, chosen: readonly boolean[], from: number): EntryRange[] {
  const ranges: [number, number][] = []
  for (const [bundle, isChosen] of chosen.entries()) {
    const end = first + (bundle + 1) * BUNDLE
    const start = Math.max(from, end - BUNDLE)
    if (!isChosen || start >= end) continue
    const last = ranges.at(-1)
    if (last?.[1] === start) last[1] = end
    else ranges.push([start, end])
  }
  return ranges
}

/** Two entries of a bundle are read together if there are fewer than this many entries between them. */
const GAP = 8

/** Returns the entries at the ascending `offsets` that are in a chosen bundle and not before the entry `from`. */
export function rangesOfOffsets(
  first: number,
  offsets: readonly number[],
  chosen: readonly boolean[],
  from: number,
): EntryRange[] {
  const ranges: [number, number][] = []
  for (const offset of offsets) {
    const index = first + offset
    const bundle = Math.floor(offset / BUNDLE)
    if (index < from || chosen[bundle] !== true) continue
    const last = ranges.at(-1)
    const isNear =
      last !== undefined && index - last[1] < GAP && Math.floor((last[1] - 1 - first) / BUNDLE) === bundle
    if (isNear) last[1] = index + 1
    else ranges.push([index, index + 1])
  }
  return ranges
}
