/** The record index on disk: a LevelDB in the ledger's cache/, rebuilt from the ledger whenever it is not there. */
import { rm } from 'node:fs/promises'
import { ClassicLevel } from 'classic-level'
import type { Hash } from '@service-fs/tlog/hash'
import type { IndexedRecord, RecordIndex } from '@service-fs/ledger/record-index'

/** `#` is what the index covers (`<size> <root>`); `=<id>` is the index of a record's first entry. */
const COVERED = '#'
const ID = '='
/** LevelDB's cache of blocks, and what it collects before it writes a table. */
const CACHE_BYTES = 2 * 1024 * 1024

/** Opens the index in `dir`; one that can't be read is thrown away. */
export async function openLevelIndex(dir: string): Promise<RecordIndex> {
  try {
    return await LevelIndex.open(dir)
  } catch {
    await rm(dir, { recursive: true, force: true })
    return LevelIndex.open(dir)
  }
}

type Level = ClassicLevel
interface Put {
  type: 'put'
  key: string
  value: string
}

/** Writes go out in batches, one at a time; what is not written yet is found in `#pending`. */
class LevelIndex implements RecordIndex {
  readonly #level: Level
  #size: number
  #root: Hash | undefined
  #pending = new Map<string, number>()
  #inFlight = new Map<string, number>()
  /** What the newest batch covers. */
  #written: number
  #writing: Promise<void> | undefined
  #failure: unknown

  static async open(dir: string): Promise<LevelIndex> {
    const level: Level = new ClassicLevel(dir, {
      createIfMissing: true,
      compression: false,
      cacheSize: CACHE_BYTES,
      writeBufferSize: CACHE_BYTES,
    })
    await level.open()
    try {
      return new LevelIndex(level, level.getSync(COVERED))
    } catch (error) {
      await level.close()
      throw error
    }
  }

  private constructor(level: Level, covered: string | undefined) {
    this.#level = level
    const match = /^(\d+) (\S+)$/.exec(covered ?? '')
    if (covered !== undefined && match === null)
      throw new Error(`expected a size and a root, found ${covered}`)
    this.#size = Number(match?.[1] ?? 0)
    this.#root = match?.[2]
    this.#written = this.#size
  }

  get size(): number {
    return this.#size
  }

  get root(): Hash | undefined {
    return this.#root
  }

  get(id: string): number | undefined {
    const pending = this.#pending.get(id) ?? this.#inFlight.get(id)
    if (pending !== undefined) return pending
    const stored = this.#level.getSync(ID + id)
    return stored === undefined ? undefined : Number(stored)
  }

  put(records: readonly IndexedRecord[], size: number, root: Hash): void {
    for (const { id, index } of records) if (!this.#pending.has(id)) this.#pending.set(id, index)
    this.#size = size
    this.#root = root
    this.#writing ??= this.#write()
  }

  async flush(): Promise<void> {
    await this.#writing
    if (this.#failure !== undefined) throw this.#failure
  }

  async clear(): Promise<void> {
    await this.#writing
    await this.#level.clear()
    this.#pending.clear()
    this.#inFlight.clear()
    this.#failure = undefined
    this.#size = 0
    this.#written = 0
    this.#root = undefined
  }

  async close(): Promise<void> {
    await this.#writing
    await this.#level.close()
  }

  /** Never rejects: after a failure everything stays in memory, and the next start finds an index that covers less. */
  async #write(): Promise<void> {
    // What else is put in this turn joins the batch.
    await Promise.resolve()
    while (this.#failure === undefined && this.#isBehind()) {
      this.#inFlight = this.#pending
      this.#pending = new Map()
      const batch: Put[] = []
      for (const [id, index] of this.#inFlight)
        batch.push({ type: 'put', key: ID + id, value: String(index) })
      this.#written = this.#size
      if (this.#root !== undefined)
        batch.push({ type: 'put', key: COVERED, value: `${this.#size} ${this.#root}` })
      try {
        await this.#level.batch(batch)
        this.#inFlight = new Map()
      } catch (error) {
        this.#failure = error
        for (const [id, index] of this.#inFlight) this.#pending.set(id, index)
      }
    }
    this.#writing = undefined
  }

  #isBehind(): boolean {
    return this.#pending.size > 0 || this.#written !== this.#size
  }
}
