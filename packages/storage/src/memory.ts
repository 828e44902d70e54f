import { CheckedStorage, type StorageDriver } from './checked.ts'
import { StorageError } from './errors.ts'

export interface MemoryOptions {
  /** Default 'grow'. */
  readonly tailMode?: 'grow' | 'each'
  /** Path → bytes to begin with, for instance another storage's dump(). */
  readonly files?: Iterable<readonly [string, Uint8Array]>
}

/** A ledger in memory, for tests and for trying things out: everything is durable until the object is dropped. */
export class MemoryStorage extends CheckedStorage {
  readonly #files: Map<string, Uint8Array>

  constructor(options: MemoryOptions = {}) {
    const files = new Map<string, Uint8Array>()
    for (const [path, bytes] of options.files ?? []) files.set(path, bytes.slice())
    super(new MemoryDriver(files, options.tailMode ?? 'grow'))
    this.#files = files
  }

  /** A copy of everything stored, by path: sealed objects, `tail/<name>`, `checkpoint`; in the order of the paths. */
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

  async read(path: string, limit: number): Promise<Uint8Array | undefined> {
    const bytes = this.#files.get(path)
    if (bytes !== undefined && bytes.length > limit) {
      throw new StorageError('corrupt', `${path}: ${bytes.length} bytes, at most ${limit} are possible`)
    }
    return bytes?.slice()
  }

  async has(path: string): Promise<boolean> {
    return this.#files.has(path)
  }

  async seal(path: string, bytes: Uint8Array): Promise<void> {
    const sealed = this.#files.get(path)
    if (sealed === undefined) this.#files.set(path, bytes.slice())
    else if (!sameBytes(sealed, bytes)) throw new StorageError('conflict', `${path}: other bytes are sealed`)
  }

  async tailNames(): Promise<string[]> {
    return [...this.#files.keys()].filter((path) => path.startsWith('tail/')).map((path) => path.slice(5))
  }

  async readTail(name: string, limit: number): Promise<Uint8Array> {
    const bytes = await this.read(`tail/${name}`, limit)
    if (bytes === undefined) throw new StorageError('no-tail', `tail/${name}: is gone`)
    return bytes
  }

  async append(name: string, length: number, bytes: Uint8Array): Promise<void> {
    const grown = new Uint8Array(length + bytes.length)
    grown.set(await this.readTail(name, length))
    grown.set(bytes, length)
    this.#files.set(`tail/${name}`, grown)
  }

  async beginTail(name: string, _size: number, bytes: Uint8Array, older: readonly string[]): Promise<void> {
    this.#files.set(`tail/${name}`, bytes.slice())
    for (const old of older) this.#files.delete(`tail/${old}`)
  }

  async publish(checkpoint: Uint8Array): Promise<void> {
    this.#files.set('checkpoint', checkpoint.slice())
  }

  async close(): Promise<void> {}
}

/** Whether two byte strings are the same. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
