/**
 * The sequencer: makes one commit after the other from the waiting batches, and resolves each batch's append when its commit is
 * durable.
 */
import type { PackedRecords } from '@service-fs/format/pack-entries'
import type { Edge } from '@service-fs/tlog/edge'
import type { Hash } from '@service-fs/tlog/hash'
import type { Extension, Kernel } from '@service-fs/tlog/kernel/kernel'
import { plainKernel } from '@service-fs/tlog/kernel/plain'
import type { Signer } from '@service-fs/tlog/note'
import { messageOf } from '@service-fs/format/errors'
import { LedgerError, stopReason } from './errors.ts'
import { signHead, type Head } from './head.ts'
import type { LedgerLimits } from './limits.ts'
import type { Runtime } from './runtime.ts'

/** The new records of one append. They go into one commit, all or none. */
export interface Batch {
  readonly records: readonly { id: string }[]
  /** The records' entries, in order. The sequencer takes their bytes. */
  readonly entries: PackedRecords
}

/** One or more batches and the signed tree that ends with them, made durable by one write and one sync. */
export interface Commit {
  batches: readonly Batch[]
  extension: Extension
  head: Head
}

/** The place of a batch: the index of its first entry, its leaf hashes, and the head of its commit. */
export interface Place {
  index: number
  leaves: readonly Hash[]
  head: Head
}

export interface SequencerOptions {
  origin: string
  signer: Signer
  runtime: Runtime
  limits: Pick<LedgerLimits, 'queueEntries' | 'queueBytes' | 'commitEntries' | 'commitBytes'>
}

export interface SequencerHooks {
  /** Makes the commit durable. `before`: the right edge before its entries. */
  write(before: Edge, commit: Commit): Promise<void>
  /** Called when the commit is durable, before the appends of its batches resolve. */
  committed(commit: Commit): void
  /** Runs between two commits. Must not reject. */
  betweenCommits(): Promise<void>
  /** Called once, when the ledger stops accepting appends. */
  stopped(reason: LedgerError): void
}

/** Room for the signed checkpoint behind the lines of a commit. A longer checkpoint costs a copy of the lines. */
const NOTE_BYTES = 1024
const NO_BYTES = new Uint8Array()

interface Waiting {
  batch: Batch
  characters: number
  resolve(place: Place): void
  reject(error: unknown): void
}

export class Sequencer {
  readonly #options: SequencerOptions
  readonly #hooks: SequencerHooks
  readonly #kernel: Kernel
  #edge: Edge
  #head: Head
  #queue: Waiting[] = []
  #queueEntries = 0
  #queueCharacters = 0
  #running: Promise<void> | undefined
  #stopped: LedgerError | undefined

  /** `edge`: the right edge of the tree at `head`, the newest durable state. */
  constructor(options: SequencerOptions, edge: Edge, head: Head, hooks: SequencerHooks) {
    this.#options = options
    this.#hooks = hooks
    const { hasher, codec, kernel } = options.runtime
    this.#kernel = kernel ?? plainKernel(hasher, codec)
    this.#edge = edge
    this.#head = head
  }

  /** The newest durable state. */
  get head(): Head {
    return this.#head
  }

  /** Why no appends are taken; undefined while they are. */
  get stopped(): LedgerError | undefined {
    return this.#stopped
  }

  get queueEntries(): number {
    return this.#queueEntries
  }

  get queueBytes(): number {
    return this.#queueCharacters
  }

  /**
   * Resolves when the commit that holds the batch is durable. @throws LedgerError `busy` when the queue is full; otherwise the
   * reason why the ledger accepts no appends
   */
  append(batch: Batch): Promise<Place> {
    const { limits } = this.#options
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped)
    const characters = charactersOf(batch.entries)
    const entries = this.#queueEntries + countOf(batch)
    if (
      this.#queue.length > 0 &&
      (entries > limits.queueEntries || this.#queueCharacters + characters > limits.queueBytes)
    ) {
      return Promise.reject(
        new LedgerError('busy', `${this.#queueEntries} entries are waiting to be appended: try again later`),
      )
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ batch, characters, resolve, reject })
      this.#queueEntries = entries
      this.#queueCharacters += characters
      this.poke()
    })
  }

  /** Schedules the work between two commits, even when no append waits. */
  poke(): void {
    this.#running ??= this.#run()
  }

  /** Rejects the waiting appends with `reason`, and takes no further ones. A commit that is being written completes. */
  stop(reason: LedgerError): void {
    if (this.#stopped === undefined) {
      this.#stopped = reason
      this.#hooks.stopped(reason)
    }
    const waiting = this.#queue
    this.#queue = []
    this.#queueEntries = 0
    this.#queueCharacters = 0
    for (const one of waiting) one.reject(this.#stopped)
  }

  /** Resolves when no batch waits and no commit is being written. */
  async idle(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    do {
      // Let requests that have already arrived join this commit.
      await this.#options.runtime.turn()
      const waiting = this.#take()
      if (waiting.length > 0) await this.#commit(waiting)
      await this.#hooks.betweenCommits()
    } while (this.#queue.length > 0)
    this.#running = undefined
  }

  /** Takes the batches of the next commit off the queue. */
  #take(): Waiting[] {
    const { commitEntries, commitBytes } = this.#options.limits
    let count = 0
    let entries = 0
    let characters = 0
    for (const one of this.#queue) {
      const length = countOf(one.batch)
      if (count > 0 && (entries + length > commitEntries || characters + one.characters > commitBytes)) break
      count += 1
      entries += length
      characters += one.characters
    }
    this.#queueEntries -= entries
    this.#queueCharacters -= characters
    const taken = this.#queue.slice(0, count)
    this.#queue = this.#queue.slice(count)
    return taken
  }

  async #commit(waiting: readonly Waiting[]): Promise<void> {
    const batches = waiting.map(({ batch }) => batch)
    const entries = batches.map((batch) => batch.entries)
    let extension: Extension
    try {
      extension = this.#kernel.extend(this.#edge, entries, NOTE_BYTES)
    } catch (error) {
      // Nothing was written, but the next commit may fail in the same way.
      this.#fail(waiting, error)
      return
    }
    // The lines of the extension have the entries now. A small engine needs the memory for the write.
    for (const packed of entries) packed.bytes = NO_BYTES
    let head: Head
    try {
      head = await signHead(this.#options, extension.edge, extension.root)
    } catch (error) {
      // Nothing was written: the records may be appended again.
      const failure = new LedgerError('signer', `the checkpoint could not be signed: ${messageOf(error)}`, {
        cause: error,
      })
      for (const one of waiting) one.reject(failure)
      return
    }
    const commit = { extension, batches, head }
    try {
      await this.#hooks.write(this.#edge, commit)
    } catch (error) {
      this.#fail(waiting, error)
      return
    }
    const index = this.#edge.size
    this.#edge = extension.edge
    this.#head = head
    this.#hooks.committed(commit)
    let at = 0
    for (const one of waiting) {
      const length = countOf(one.batch)
      one.resolve({ index: index + at, leaves: extension.leaves.slice(at, at + length), head })
      at += length
    }
  }

  /** Rejects the waiting batches, and stops. */
  #fail(waiting: readonly Waiting[], error: unknown): void {
    const failure = stopReason(error)
    for (const one of waiting) one.reject(failure)
    this.stop(failure)
  }
}

function countOf({ entries }: Batch): number {
  return entries.offsets.length - 1
}

/** Returns the characters of the entries' lines, without line feeds. */
function charactersOf({ offsets }: PackedRecords): number {
  let characters = 0
  for (let i = 1; i < offsets.length; i++)
    characters += Math.ceil(((offsets[i] as number) - (offsets[i - 1] as number)) / 3) * 4
  return characters
}
