import { CheckedStorage, type StorageDriver } from './checked.ts'
import { StorageError } from './errors.ts'
import {
  formatObjectName,
  parseTailNames,
  tailPath,
  type ReadableName,
  type SealedName,
} from './object-name.ts'

export interface MemoryOptions {
  /** Default 'grow'. */
  readonly tailMode?: 'grow' | 'each'
  /** Bytes of the hashes in tiles. Default: 32. */
  readonly hashBytes?: number
  /** The files to start with, as pairs of path and bytes: another storage's dump(), for example. */
  readonly files?: Iterable<readonly [string, Uint8Array]>
}

/** Keeps the files of a ledger directory in memory, for tests and experiments. Everything counts as durable. */
export class MemoryStorage extends CheckedStorage {
  readonly #files: Map<string, Uint8Array>

  constructor(options: MemoryOptions = {}) {
    const files = new Map<string, Uint8Array>()
    for (const [path, bytes] of options.files ?? []) files.set(path, bytes.slice())
    super(new MemoryDriver(files, options.tailMode ?? 'grow'), options.hashBytes)
    this.#files = files
  }

  /** Returns a copy of all files by path, in the order of the paths. */
  dump(): Map<string, Uint8Array> {
    const entries = [...this.#files].sort(([a], [b]) => (a < b ? -1 : 1))
    return new Map(entries.map(([path, bytes]) => [path, bytes.slice()]))
  }
}

class MemoryDriver implements StorageDriver {
  readonly tailMode: 'grow' | 'each'
  readonly #files: Map<string, Uint8Array>

  constructor(files: Map<string, Uint8Array>, tailMode: 'grow' | 'each') {
    this.#files = files
    this.tailMode = tailMode
  }

  async read(name: ReadableName, limit: number): Promise<Uint8Array | undefined> {
    return this.#readFile(formatObjectName(name), limit)
  }

  #readFile(path: string, limit: number): Uint8Array | undefined {
    const bytes = this.#files.get(path)
    if (bytes !== undefined && bytes.length > limit) {
      throw new StorageError('corrupt', `${path}: expected at most ${limit} bytes, found ${bytes.length}`)
    }
    return bytes?.slice()
  }

  async has(name: SealedName): Promise<boolean> {
    return this.#files.has(formatObjectName(name))
  }

  async seal(name: SealedName, bytes: Uint8Array): Promise<void> {
    const path = formatObjectName(name)
    const sealed = this.#files.get(path)
    if (sealed === undefined) this.#files.set(path, bytes.slice())
    else if (!sameBytes(sealed, bytes)) throw new StorageError('conflict', `${path}: other bytes are sealed`)
  }

  async tailStarts(): Promise<number[]> {
    const tails = [...this.#files.keys()].filter((path) => path.startsWith('tail/'))
    return parseTailNames(tails.map((path) => path.slice('tail/'.length)))
  }

  async readTail(start: number, limit: number): Promise<Uint8Array> {
    const bytes = this.#readFile(tailPath(start), limit)
    if (bytes === undefined) throw new StorageError('no-tail', `${tailPath(start)}: no longer exists`)
    return bytes
  }

  async append(start: number, length: number, bytes: Uint8Array): Promise<void> {
    const grown = new Uint8Array(length + bytes.length)
    grown.set(await this.readTail(start, length))
    grown.set(bytes, length)
    this.#files.set(tailPath(start), grown)
  }

  async beginTail(start: number, _size: number, bytes: Uint8Array, older: readonly number[]): Promise<void> {
    this.#files.set(tailPath(start), bytes.slice())
    for (const old of older) this.#files.delete(tailPath(old))
  }

  async publish(checkpoint: Uint8Array): Promise<void> {
    this.#files.set('checkpoint', checkpoint.slice())
  }

  async close(): Promise<void> {}
}

/** Reports whether two byte strings are equal. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
