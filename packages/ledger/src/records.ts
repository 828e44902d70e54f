/** Reading records: parsing entries, joining the parts of split records. */
import { joinParts, parseEntry, type Entry, type Field } from '@service-fs/format/entry'
import { PlainEntry, PRINTABLE } from '@service-fs/format/plain-entry'
import { equalBytes, hexEncode } from '@service-fs/tlog/codec'
import { LedgerError, unreadable } from './errors.ts'
import type { Extent } from './extent.ts'
import type { Reader } from './reader.ts'
import type { IndexedRecord } from './record-index.ts'
import type { StoredRecord } from './record.ts'
import type { Runtime } from './runtime.ts'

export class Records {
  readonly #extent: Extent
  readonly #reader: Reader
  readonly #runtime: Runtime
  readonly #plain = new PlainEntry(PRINTABLE)

  constructor(extent: Extent, reader: Reader, runtime: Runtime) {
    this.#extent = extent
    this.#reader = reader
    this.#runtime = runtime
  }

  /** Returns the bytes of an entry. @throws LedgerError `not-found`, `corrupt` */
  async entry(index: number): Promise<Uint8Array> {
    this.#extent.checkIndex(index)
    return this.#reader.entry(index)
  }

  /** Returns an entry, parsed. @throws LedgerError `not-found`, `corrupt` */
  async parsed(index: number): Promise<Entry> {
    return this.parse(index, await this.entry(index))
  }

  /** Returns the record whose first entry is `index`. @throws LedgerError `not-found`, `not-a-record`, `corrupt` */
  async record(index: number): Promise<StoredRecord> {
    const first = await this.parsed(index)
    if (first.continuation !== undefined) {
      const { part, of } = first.continuation
      throw new LedgerError(
        'not-a-record',
        `entry ${index} is part ${part} of ${of} of a record that starts at entry ${index - part + 1}`,
        { index: index - part + 1 },
      )
    }
    const parts = first.split?.parts ?? 1
    const entries = [first]
    for (let i = 1; i < parts; i++) entries.push(await this.parsed(index + i))
    return { index, parts, ...headerOf(first), payload: this.#join(index, entries) }
  }

  /** Returns the bytes of the entry at `index` if the record `id` starts there; else undefined. @throws LedgerError `corrupt` */
  async startOf(id: string, index: number): Promise<Uint8Array | undefined> {
    if (index >= this.#extent.size) return undefined
    const entry = await this.entry(index)
    return this.#isStartOf(id, index, entry) ? entry : undefined
  }

  #isStartOf(id: string, index: number, entry: Uint8Array): boolean {
    const { codec } = this.#runtime
    const plain = this.#plain
    if (plain.read(entry, 0, entry.length))
      return equalBytes(entry.subarray(plain.id, plain.idEnd), codec.utf8Encode(id))
    const { header, continuation } = this.parse(index, entry)
    return header.id === id && continuation === undefined
  }

  /** Yields at most `limit` records that start at `since` or later, up to the durable size at the call. */
  async *from(since: number, limit: number): AsyncGenerator<StoredRecord> {
    const { size } = this.#extent
    let left = limit
    for (let at = since; at < size && left > 0;) {
      const skip = at === since ? (await this.parsed(at)).continuation : undefined
      if (skip !== undefined) {
        at += skip.of - skip.part + 1
        continue
      }
      const record = await this.record(at)
      yield record
      at += record.parts
      left -= 1
    }
  }

  /** Returns the identifiers of the records that start in the range, each entry checked against the tree. */
  async identifiers(from: number, to: number): Promise<IndexedRecord[]> {
    const records: IndexedRecord[] = []
    let next = this.#entriesOf(from, to)
    for (let at = from; at < to;) {
      const entries = await next
      const after = at + entries.length
      // Read the next bundle while this one is parsed.
      next = after < to ? this.#entriesOf(after, to) : Promise.resolve([])
      next.catch(() => undefined)
      for (const bytes of entries) {
        const entry = this.parse(at, bytes)
        if (entry.continuation === undefined) records.push({ id: entry.header.id, index: at })
        at += 1
      }
    }
    return records
  }

  /** Returns the entries from `from` up to the end of its bundle, or up to `to`. */
  #entriesOf(from: number, to: number): Promise<Uint8Array[]> {
    return this.#reader.entries(from, Math.min(to, from - (from % 256) + 256))
  }

  /** Parses the bytes of the entry at `index`. @throws LedgerError `corrupt` */
  parse(index: number, bytes: Uint8Array): Entry {
    try {
      return parseEntry(bytes, this.#runtime.codec)
    } catch (error) {
      throw unreadable(`entry ${index}`, error, index)
    }
  }

  #join(index: number, entries: readonly Entry[]): Uint8Array {
    try {
      return joinParts(entries, (data) => hexEncode(this.#runtime.hasher.sha256(data)))
    } catch (error) {
      throw unreadable(`entry ${index}`, error, index)
    }
  }
}

/** Returns a record's own header, without the fields that describe its split. */
function headerOf({ header, split }: Entry): {
  id: string
  type: string
  time: string
  fields: readonly Field[]
} {
  const { id, type, time, fields } = header
  const own =
    split === undefined
      ? fields
      : fields.filter(([name]) => name !== 'parts' && name !== 'length' && name !== 'sha256')
  return { id, type, time, fields: own }
}
