/** The index of a pack: index.csv for spreadsheets, index.json for programs. */
import type { PackFile, PackOutput } from './output.ts'
import type { PackedRecord } from './packed.ts'
import { asciiJson, csvLine } from './safe-text.ts'

const COLUMNS = [
  'cursor',
  'id',
  'time',
  'type',
  'size',
  'entries',
  'leaf_hash',
  'sha256',
  'file',
  'proof',
  'author',
  'author_signature',
  'signature_file',
] as const

type Members = Record<(typeof COLUMNS)[number], string | number>

/** Returns the members of a record in the pack's JSON files. */
export function recordMembers(
  row: PackedRecord,
): Omit<Members, 'author' | 'author_signature' | 'signature_file'> {
  const { cursor, id, time, type, size, entries, leafHash, sha256, file, proof } = row
  return { cursor, id, time, type, size, entries, leaf_hash: leafHash, sha256, file, proof }
}

/** Returns the members of a record in the index. Those about its author are empty if it has no signature. */
function indexMembers(row: PackedRecord): Members {
  const { author } = row
  return {
    ...recordMembers(row),
    author: author?.author?.subject ?? '',
    author_signature: author === undefined ? '' : author.problem === undefined ? 'verified' : 'not verified',
    signature_file: author?.signature?.file ?? '',
  }
}

/** Writes both files, one record at a time. */
export class IndexFiles {
  readonly #csv: PackFile
  readonly #json: JsonList

  private constructor(csv: PackFile, json: JsonList) {
    this.#csv = csv
    this.#json = json
  }

  static async open(output: PackOutput): Promise<IndexFiles> {
    const csv = await output.open('index.csv')
    await csv.write(csvLine(COLUMNS))
    const json = await output.open('index.json')
    await json.write('[')
    return new IndexFiles(csv, new JsonList(json))
  }

  async add(row: PackedRecord): Promise<void> {
    const members = indexMembers(row)
    await this.#csv.write(csvLine(COLUMNS.map((name) => members[name])))
    await this.#json.add(members)
  }

  async end(): Promise<void> {
    await this.#csv.end()
    await this.#json.end(']\n')
  }
}

/** Writes the items of a JSON array, one on a line. */
export class JsonList {
  readonly #file: PackFile
  #count = 0

  constructor(file: PackFile) {
    this.#file = file
  }

  async add(item: unknown): Promise<void> {
    await this.#file.write(`${this.#count === 0 ? '' : ','}\n${asciiJson(item)}`)
    this.#count += 1
  }

  /** Writes the text after the last item, and ends the file. */
  async end(after: string): Promise<void> {
    await this.#file.write(`${this.#count === 0 ? '' : '\n'}${after}`)
    await this.#file.end()
  }
}
