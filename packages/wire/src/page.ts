/** A page of records: JSON bytes, made from the entries' bytes where possible. */
import { LedgerError } from '@service-fs/ledger/errors'
import type { StoredRecord } from '@service-fs/ledger/record'
import type { Codec } from '@service-fs/tlog/codec'
import type { WireLedger } from './call.ts'
import { RecordWriter } from './record-writer.ts'

export interface PageOptions {
  readonly ledger: Pick<WireLedger, 'size' | 'entries' | 'records'>
  readonly codec: Codec
  /** Index of the first entry. */
  readonly since: number
  /** The most records. */
  readonly limit: number
  /** UTF-16 code units of the records' texts: the record that reaches this size is the last. */
  readonly maxUnits: number
  /** `lines`: a line feed after each record. `list`: commas between them. */
  readonly form: 'lines' | 'list'
}

/** Memory for a page at first. */
const FIRST_BYTES = 16 * 1024
const LINE_FEED = 0x0a
const COMMA = 0x2c

/** Reads records and returns their page. @throws LedgerError `corrupt` and others */
export async function readPage(options: PageOptions): Promise<Page> {
  const { ledger, since, limit } = options
  const page = new Page(options)
  const { size } = ledger
  let isDamaged = false
  for (let at = since; at < size && !page.isFull;) {
    const to = Math.min(size, at + limit - page.count)
    const entries: readonly Uint8Array[] | undefined = isDamaged
      ? undefined
      : await entriesOrNone(ledger, at, to)
    isDamaged = entries === undefined
    const first = at
    const end = at + (entries?.length ?? 1)
    while (at < end && !page.isFull) {
      const entry = entries?.[at - first]
      if (entry !== undefined && page.entry(at, entry)) at += 1
      else at = await pastRecord(ledger, page, at)
    }
  }
  return page
}

/** Returns some entries from `from` on; undefined when one of them is damaged, even one beyond the end of the page. */
async function entriesOrNone(
  ledger: PageOptions['ledger'],
  from: number,
  to: number,
): Promise<readonly Uint8Array[] | undefined> {
  try {
    return await ledger.entries(from, to)
  } catch (error) {
    if (error instanceof LedgerError && error.code === 'corrupt') return undefined
    throw error
  }
}

/** Adds the next record from `at` on, whatever its form. Returns the index after it. */
async function pastRecord(ledger: PageOptions['ledger'], page: Page, at: number): Promise<number> {
  for await (const record of ledger.records(at, { limit: 1 })) {
    page.record(record)
    return record.index + record.parts
  }
  return Number.POSITIVE_INFINITY
}

export class Page {
  readonly #options: PageOptions
  readonly #writer: RecordWriter
  #count = 0
  #last: number | undefined

  constructor(options: PageOptions) {
    this.#options = options
    this.#writer = new RecordWriter(options.codec, FIRST_BYTES)
  }

  /** Number of records. */
  get count(): number {
    return this.#count
  }

  /** Index of the last record; undefined when there is none. */
  get last(): number | undefined {
    return this.#last
  }

  get isFull(): boolean {
    const { limit, maxUnits } = this.#options
    return this.#count >= limit || this.#writer.hasUnits(maxUnits + this.#separators)
  }

  /** Returns the page's bytes. The page must not be used any more. */
  bytes(): Uint8Array {
    return this.#writer.bytes()
  }

  /** Adds the record whose only entry is `entry`. Returns false, and adds nothing, when the entry must be parsed first. */
  entry(index: number, entry: Uint8Array): boolean {
    const { form } = this.#options
    const isAdded = this.#writer.entry(index, entry, form === 'list' && this.#count > 0 ? COMMA : undefined)
    if (isAdded) this.#added(index)
    return isAdded
  }

  record(record: StoredRecord): void {
    if (this.#options.form === 'list' && this.#count > 0) this.#writer.character(COMMA)
    this.#writer.record(record)
    this.#added(record.index)
  }

  #added(index: number): void {
    if (this.#options.form === 'lines') this.#writer.character(LINE_FEED)
    this.#count += 1
    this.#last = index
  }

  get #separators(): number {
    return this.#options.form === 'lines' ? this.#count : Math.max(0, this.#count - 1)
  }
}
