/** The work after a commit: it brings everything but the tail up to the commit, without delaying the answer. */
import type { StorageCapability } from '@service-fs/storage/capability'
import type { Edge } from '@service-fs/tlog/edge'
import { LedgerError } from './errors.ts'
import type { Growth } from './growth.ts'
import type { Head } from './head.ts'
import type { MarkKeeper } from './high-water-mark.ts'
import type { Indexer } from './indexer.ts'
import type { LedgerObserver } from './options.ts'
import type { Publisher } from './publisher.ts'
import type { IndexedRecord } from './record-index.ts'
import type { Runtime } from './runtime.ts'
import type { SealedTiles } from './sealed-tiles.ts'
import type { Sealer } from './sealer.ts'
import type { Batch, Commit, Sequencer } from './sequencer.ts'
import type { TailMemory } from './tail-memory.ts'
import type { TailWriter } from './tail-writer.ts'

/** Commits wait for the sealer when this many entries, or characters of their lines, are in full bundles that are not sealed. */
const MAX_BACKLOG_ENTRIES = 64 * 256
const MAX_BACKLOG_CHARACTERS = 24 * 1024 * 1024

export interface UpkeepParts {
  storage: StorageCapability
  runtime: Runtime
  observer: LedgerObserver
  memory: TailMemory
  sealed: SealedTiles
  sealer: Sealer
  tail: TailWriter
  publisher: Publisher
  marks: MarkKeeper | undefined
  indexer: Indexer
  growth: Growth
  sequencer: Sequencer
}

export class Upkeep {
  readonly #parts: UpkeepParts
  #writeMs = 0
  #writeBytes = 0

  constructor(parts: UpkeepParts) {
    this.#parts = parts
  }

  /** Writes a commit to the tail; durable when it resolves. `before`: the right edge before its entries. */
  async write(before: Edge, { extension, head }: Commit): Promise<void> {
    const { runtime, tail } = this.#parts
    const started = runtime.monotonic()
    this.#writeBytes = await tail.commit(before, extension, head)
    this.#writeMs = runtime.monotonic() - started
  }

  /** Takes a commit that {@link write} has made durable. */
  committed({ extension, batches, head }: Commit): void {
    const { memory, indexer, publisher, marks, sealer, growth, observer } = this.#parts
    const entries = extension.leaves.length
    const first = head.size - entries
    memory.push(extension)
    indexer.committed(indexed(batches, first), first, head)
    publisher.offer(head.note)
    marks?.offer(head)
    sealer.wake()
    growth.reached(head.size)
    observer.committed?.({
      entries,
      bytes: this.#writeBytes,
      milliseconds: this.#writeMs,
      size: head.size,
    })
  }

  /** Drops sealed entries from memory and publishes the checkpoint. */
  async sealed(): Promise<void> {
    const { memory, sealed, publisher, sequencer } = this.#parts
    memory.dropBelow(sealed.entries)
    await publisher.now()
    sequencer.poke()
  }

  /** Between two commits: waits for the sealer when it is far behind, and begins a new tail file when the old one is long. */
  async betweenCommits(): Promise<void> {
    const { sequencer, sealer, sealed, memory, tail } = this.#parts
    while (sequencer.stopped === undefined && sealer.backlog > 0) {
      if (sealer.backlog < MAX_BACKLOG_ENTRIES && memory.characters < MAX_BACKLOG_CHARACTERS) break
      sealer.wake()
      await sealer.round()
    }
    if (tail.worthRolling(sealed.entries, memory.characters)) await this.#roll(sequencer.head)
  }

  /** Completes the work behind the last commit: seals full bundles, writes the mark, rolls the tail, publishes the checkpoint. */
  async finish(): Promise<void> {
    const { storage, sequencer, sealer, sealed, marks, tail, publisher } = this.#parts
    await sequencer.idle()
    await sealer.idle()
    await sequencer.idle()
    await marks?.idle()
    if (sequencer.stopped !== undefined) return
    if (tail.start !== undefined && storage.tailMode === 'grow' && sealed.entries > tail.start)
      await this.#roll(sequencer.head)
    await publisher.now()
  }

  /** Begins a tail file at the end of the sealed entries. */
  async #roll({ note }: Head): Promise<void> {
    const { sealed, memory, tail } = this.#parts
    const edge = sealed.edge()
    const text = memory.text(edge.size, memory.end)
    if (text === undefined)
      throw new LedgerError('stopped', `entries from ${edge.size} on are neither sealed nor in memory`)
    await tail.roll(edge, text, { size: memory.end, note })
  }
}

/** Returns the records of a commit whose first entry is `first`. */
function indexed(batches: readonly Batch[], first: number): IndexedRecord[] {
  const found: IndexedRecord[] = []
  let start = first
  for (const { records, entries } of batches) {
    for (let i = 0; i < records.length; i++) {
      const { id } = records[i] as { id: string }
      found.push({ id, index: start + (entries.starts[i] as number) })
    }
    start += entries.offsets.length - 1
  }
  return found
}
