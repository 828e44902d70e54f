/** The page of a pack, index.html, and its data in page/. A page from disk can't fetch files, so the data are scripts. */
import { nativeCodec } from '@service-fs/native/native'
import type { ExaminedLedger } from './ledger.ts'
import type { PackOutput } from './output.ts'
import type { PackedRecord, PackOptions, PackSummary } from './packed.ts'
import { pageHtml } from './page-html.ts'
import { asciiJson } from './safe-text.ts'

/** Rows of the index in one script. */
const INDEX_ROWS = 2000
/** A script ends after this many records, or after this many bytes of their contents. */
const DATA_RECORDS = 64
const DATA_BYTES = 1 << 20
/** The longest content that a script contains. For longer content, the page asks its reader for the file. */
const CONTENT_BYTES = 1 << 20

/** A row of the index in page/; `data` is the number of the script that contains the record. */
export type PageRow = [
  cursor: number,
  id: string,
  time: string,
  type: string,
  size: number,
  leafHash: string,
  sha256: string,
  file: string,
  data: number,
  /** How long the record must be kept, and the holds on it; empty without a duty. */
  kept: string,
  /** The record's author and the judgement of the signature, or the record whose signature it is; otherwise empty. */
  author: string,
]

/** The data with which the page checks a record. Bytes are in base64. */
export interface PageRecord {
  cursor: number
  header: string
  /** Absent if the content is too long for a script. */
  content?: string
  /** The inclusion proof. */
  hashes: readonly string[]
}

/** The data of the whole pack, for the page. */
export interface PagePack {
  origin: string
  made: string
  checkpoint: string
  keys: string[]
  pinned: boolean
  records: number
  /** The index of the audit entry that records the pack, if the pack has that entry's proof. */
  recorded?: number
  /** The number of scripts with rows. */
  indexes: number
}

/** Writes the page, one record at a time. */
export class PageFiles {
  readonly #output: PackOutput
  #rows: PageRow[] = []
  #indexes = 0
  #records: PageRecord[] = []
  #bytes = 0
  #data = 1

  constructor(output: PackOutput) {
    this.#output = output
  }

  /** Adds the data of a record. Returns the number of the script that contains the data. */
  async add(
    row: PackedRecord,
    { header, payload, hashes }: { header: Uint8Array; payload: Uint8Array; hashes: readonly string[] },
  ): Promise<number> {
    if (this.#records.length === DATA_RECORDS || this.#bytes >= DATA_BYTES) await this.#endData()
    const { cursor, size } = row
    const record: PageRecord = { cursor, header: nativeCodec.base64Encode(header), hashes }
    if (size <= CONTENT_BYTES) {
      record.content = nativeCodec.base64Encode(payload)
      this.#bytes += size
    }
    this.#records.push(record)
    return this.#data
  }

  /** Adds the row of a record to the index. */
  async index(
    row: PackedRecord & { data: number },
    { kept, author }: { kept: string; author: string },
  ): Promise<void> {
    if (this.#rows.length === INDEX_ROWS) await this.#endIndex()
    const { cursor, id, time, type, size, leafHash, sha256, file, data } = row
    this.#rows.push([cursor, id, time, type, size, leafHash, sha256, file, data, kept, author])
  }

  async end(ledger: ExaminedLedger, { made, recorded }: PackOptions, summary: PackSummary): Promise<void> {
    if (this.#rows.length > 0) await this.#endIndex()
    if (this.#records.length > 0) await this.#endData()
    const pack: PagePack = {
      origin: ledger.origin,
      made,
      checkpoint: ledger.note,
      keys: [...ledger.keys.values()],
      pinned: ledger.trust.pinned,
      records: summary.records,
      ...(typeof recorded === 'object' ? { recorded: recorded.index } : {}),
      indexes: this.#indexes,
    }
    await this.#put('page/pack.js', `examinersPack(${asciiJson(pack)})\n`)
    await this.#put('index.html', pageHtml())
  }

  async #endIndex(): Promise<void> {
    this.#indexes += 1
    const lines = this.#rows.map(asciiJson).join(',\n')
    await this.#put(`page/index-${this.#indexes}.js`, `examinersIndex(${this.#indexes},[\n${lines}\n])\n`)
    this.#rows = []
  }

  async #endData(): Promise<void> {
    const lines = this.#records.map(asciiJson).join(',\n')
    await this.#put(`page/data-${this.#data}.js`, `examinersData(${this.#data},[\n${lines}\n])\n`)
    this.#records = []
    this.#bytes = 0
    this.#data += 1
  }

  #put(path: string, text: string): Promise<void> {
    return this.#output.put(path, nativeCodec.utf8Encode(text))
  }
}
