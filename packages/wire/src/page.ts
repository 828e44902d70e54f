/** A page of records: bytes, made from the entries' bytes where possible. */
import { LedgerError } from '@service-fs/ledger/errors'
import type { Codec } from '@service-fs/tlog/codec'
import type { Ledger } from '@service-fs/ledger/ledger'
import { RecordWriter, type Form } from './record-writer.ts'

/** The part of a ledger that pages are read from. */
export type PageLedger = Pick<Ledger, 'entries' | 'records'>

export interface PageOptions {
  readonly ledger: PageLedger
  readonly codec: Codec
  /** Index of the first entry. */
  readonly since: number
  /** The page has only records that begin before this index. At most the size of the ledger. */
  readonly to: number
  /** The most records. */
  readonly limit: number
  /** UTF-16 code units of the records' texts: the record that reaches this size is the last. */
  readonly maxUnits: number
  readonly form: Form
}

export interface Page {
  readonly bytes: Uint8Array
  /** Number of records. */
  readonly count: number
  /** Index of the last record; undefined when there is none. */
  readonly last: number | undefined
  /** Index after the entries that were read, where the next page begins. */
  readonly end: number
}

/** The text of every record has more code units than this. */
const LEAST_UNITS = 80
/** Bytes to allocate for a page at first. */
const FIRST_BYTES = 16 * 1024

/** Reads records and returns their page. @throws LedgerError `corrupt` and others */
export async function readPage({
  ledger,
  codec,
  since,
  to,
  limit,
  maxUnits,
  form,
}: PageOptions): Promise<Page> {
  const writer = new RecordWriter(codec, form, FIRST_BYTES)
  const isFull = (): boolean => writer.count >= limit || writer.hasUnits(maxUnits)
  let isDamaged = false
  let at = since
  while (at < to && !isFull()) {
    // Do not read entries that cannot be in the page.
    const most = Math.min(limit - writer.count, Math.ceil(maxUnits / LEAST_UNITS))
    const wanted = Math.min(to, at + most)
    const entries: readonly Uint8Array[] | undefined = isDamaged
      ? undefined
      : await entriesOrNone(ledger, at, wanted)
    isDamaged = entries === undefined
    if (writer.count === 0) writer.expect(entries ?? [], Math.min(limit, to - at))
    const first = at
    const end = at + (entries?.length ?? 1)
    while (at < end && !isFull()) {
      const entry = entries?.[at - first]
      if (entry !== undefined && writer.entry(at, entry)) at += 1
      else at = await pastRecord(ledger, writer, at, to)
    }
  }
  return { bytes: writer.bytes(), count: writer.count, last: writer.last, end: Math.min(at, to) }
}

/** Returns some entries from `from` on; undefined when one of them is damaged, even one beyond the end of the page. */
async function entriesOrNone(
  ledger: PageLedger,
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

/** Writes the next record between `at` and `to`, whatever its form. Returns the index after it. */
async function pastRecord(ledger: PageLedger, writer: RecordWriter, at: number, to: number): Promise<number> {
  for await (const record of ledger.records(at, { limit: 1 })) {
    if (record.index >= to) break
    writer.record(record)
    return record.index + record.parts
  }
  return to
}
