/**
 * The record index on disk: runs in the ledger's cache/, rebuilt from the ledger when they are missing or damaged.
 *
 * Records since the last run are in memory, and are scanned again after a crash. A run is a file that covers a range of the ledger.
 * Its checksums detect damage, so no lookup misses a record because of it: a damaged run is discarded with all later runs.
 */
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Hash } from '@service-fs/tlog/hash'
import { RecordIndexDamage, type IndexedRecord, type RecordIndex } from '@service-fs/ledger/record-index'
import { messageOf } from '@service-fs/format/errors'
import { PageDamage } from './page.ts'
import { compareKeys, KEY_STRIDE, keyOf, keysOf, Pending } from './pending.ts'
import { PageCache, removeFile, Run } from './run.ts'
import { FINISHED, mergeRuns, writeRun, type Place } from './write-run.ts'

/** Entries per run. After a crash, at most about twice as many are scanned again. */
const RUN_ENTRIES = 16_384
/** A run is at least this many times as long as all later runs together; otherwise the index merges them. */
const RATIO = 2

export interface IndexOptions {
  /** Receives the reason why a run could not be written or was discarded. */
  report?: (reason: string) => void
  /** Entries per run. Default: 16,384. */
  runEntries?: number
}

/** Opens the index in `dir`, or starts one. Removes damaged runs and files that belong to no run. Never throws: on an unwritable disk the index stays in memory. */
export function openRecordIndex(dir: string, options: IndexOptions = {}): RecordIndex {
  return new RunIndex(dir, options)
}

/** Opens the consecutive runs of `dir` from the first entry on, and removes all other files. */
function openRuns({ dir, cache }: Place, report: (reason: string) => void): Run[] {
  const found: Run[] = []
  for (const name of namesIn(dir)) {
    const path = join(dir, name)
    if (!name.endsWith(FINISHED)) {
      remove(path)
      continue
    }
    try {
      found.push(Run.open(path, cache))
    } catch (error) {
      report(`${path}: ${messageOf(error)}; the entries that it covers are read from the ledger again`)
      removeFile(path)
    }
  }
  const runs: Run[] = []
  for (let next = follower(found, undefined); next !== undefined; next = follower(found, next))
    runs.push(next)
  for (const run of found) if (!runs.includes(run)) run.remove()
  return runs
}

function remove(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true })
  } catch {
    // The disk is not writable; the next start tries again.
  }
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}

/** Returns the longest run that starts where `last` ends. */
function follower(runs: readonly Run[], last: Run | undefined): Run | undefined {
  const [from, before] = [last?.head.to ?? 0, last?.head.root]
  let longest: Run | undefined
  for (const run of runs) {
    if (run.head.from !== from || run.head.before !== before || run.entries === 0) continue
    if (longest === undefined || run.entries > longest.entries) longest = run
  }
  return longest
}

class RunIndex implements RecordIndex {
  readonly #place: Place
  readonly #report: (reason: string) => void
  readonly #runEntries: number
  /** The runs in the order of the entries that they cover. */
  #runs: Run[]
  /** Full collections of records that will become runs, in order. */
  #full: Pending[] = []
  #pending: Pending
  #writing: Promise<void> | undefined
  #merging: Promise<void> | undefined
  /** After a failed write, the next run is tried when the index covers this many entries. */
  #tryAt = 0
  /** Incremented when runs are discarded: work based on them is then invalid. */
  #generation = 0
  #isClosing = false

  constructor(dir: string, { report, runEntries }: IndexOptions) {
    this.#place = { dir, cache: new PageCache() }
    this.#report = report ?? (() => undefined)
    this.#runEntries = runEntries ?? RUN_ENTRIES
    this.#runs = openRuns(this.#place, this.#report)
    this.#pending = this.#begin()
  }

  get size(): number {
    return this.#pending.to
  }

  get root(): Hash | undefined {
    return this.#pending.root
  }

  get(id: string): number | undefined {
    const key = keyOf(id)
    for (const run of this.#runs) {
      const found = run.mayHave(key, 0) ? this.#findIn(run, key, 0) : undefined
      if (found !== undefined) return found
    }
    return this.#inMemory(key, 0)
  }

  getAll(ids: readonly string[]): (number | undefined)[] {
    const keys = keysOf(ids)
    const found: (number | undefined)[] = ids.map(() => undefined)
    for (const run of this.#runs) {
      const places: number[] = []
      for (let i = 0; i < ids.length; i++)
        if (found[i] === undefined && run.mayHave(keys, i * KEY_STRIDE)) places.push(i)
      // Look the keys up in order, so that each page is read once.
      places.sort((a, b) => compareKeys(keys, a * KEY_STRIDE, b * KEY_STRIDE))
      for (const i of places) found[i] = this.#findIn(run, keys, i * KEY_STRIDE)
    }
    return found.map((index, i) => index ?? this.#inMemory(keys, i * KEY_STRIDE))
  }

  #inMemory(keys: Buffer, at: number): number | undefined {
    for (const full of this.#full) {
      const found = full.get(keys, at)
      if (found !== undefined) return found
    }
    return this.#pending.get(keys, at)
  }

  #findIn(run: Run, keys: Buffer, at: number): number | undefined {
    try {
      return run.find(keys, at)
    } catch (error) {
      this.#drop(run, error)
      throw new RecordIndexDamage(`${run.path}: ${messageOf(error)}`, { cause: error })
    }
  }

  put(records: readonly IndexedRecord[], size: number, root: Hash): void {
    this.#pending.put(records, size, root)
    if (this.#pending.entries >= this.#runEntries) this.#fill()
  }

  /** Queues the pending records to become a run. */
  #fill(): void {
    this.#full.push(this.#pending)
    this.#pending = new Pending(this.#pending.to, this.#pending.root)
    if (this.size >= this.#tryAt) this.#writing ??= this.#write().finally(() => (this.#writing = undefined))
  }

  async flush(): Promise<void> {
    await this.#writing
  }

  async clear(): Promise<void> {
    const [first] = this.#runs
    if (first !== undefined) this.#drop(first, new Error('the index belongs to another ledger'))
    else this.#forget()
    await this.#idle()
  }

  async close(): Promise<void> {
    if (this.#isClosing) return
    this.#isClosing = true
    await this.#idle()
    if (this.#pending.entries > 0) this.#full.push(this.#pending)
    await this.#write()
    for (const run of this.#runs) run.close()
    this.#runs = []
  }

  async #idle(): Promise<void> {
    await this.#writing
    await this.#merging
  }

  /** Returns an empty collection that starts where the runs end. */
  #begin(): Pending {
    const last = this.#runs.at(-1)?.head
    return new Pending(last?.to ?? 0, last?.root)
  }

  #forget(): void {
    this.#generation += 1
    this.#full = []
    this.#pending = this.#begin()
  }

  /** Discards a run that cannot be read, and all later runs. */
  #drop(run: Run, why: unknown): void {
    const at = this.#runs.indexOf(run)
    const dropped = this.#runs.splice(at)
    this.#forget()
    for (const one of dropped) one.remove()
    this.#report(`${run.path}: ${messageOf(why)}; the index is rebuilt from entry ${run.head.from}`)
  }

  /** Never rejects: records that cannot be written stay in memory. */
  async #write(): Promise<void> {
    for (let full = this.#full[0]; full !== undefined; full = this.#full[0]) {
      const generation = this.#generation
      try {
        const run = await writeRun(this.#place, full.range, full)
        if (generation === this.#generation) {
          this.#runs.push(run)
          this.#full.shift()
        } else run.remove()
      } catch (error) {
        this.#report(`cannot write a run: ${messageOf(error)}`)
        this.#tryAt = this.size + this.#runEntries
        break
      }
      this.#merging ??= this.#merge().finally(() => (this.#merging = undefined))
    }
  }

  /** Merges the short runs at the end. Never rejects. */
  async #merge(): Promise<void> {
    for (let runs = this.#worthMerging(); runs.length > 1; runs = this.#worthMerging()) {
      const generation = this.#generation
      const isCalledOff = (): boolean => this.#isClosing || generation !== this.#generation
      try {
        const merged = await mergeRuns(this.#place, runs, isCalledOff)
        if (generation === this.#generation) {
          this.#runs.splice(this.#runs.indexOf(runs[0] as Run), runs.length, merged)
          for (const run of runs) run.remove()
        } else merged.remove()
      } catch (error) {
        if (isCalledOff()) break
        const [first] = runs
        if (error instanceof PageDamage && first !== undefined) this.#drop(first, error)
        else this.#report(`cannot write a run: ${messageOf(error)}`)
        break
      }
    }
  }

  #worthMerging(): Run[] {
    if (this.#isClosing) return []
    let from = this.#runs.length - 1
    let entries = this.#runs[from]?.entries ?? 0
    while (from > 0 && (this.#runs[from - 1] as Run).entries < RATIO * entries) {
      from -= 1
      entries += (this.#runs[from] as Run).entries
    }
    return this.#runs.slice(Math.max(0, from))
  }
}
