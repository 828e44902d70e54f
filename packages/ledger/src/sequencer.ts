/** The sequencer: one commit after the other, each with everything that waits, signed, written once, synced once, then answered. */
import { Edge } from '@service-fs/tlog/edge'
import type { Hash } from '@service-fs/tlog/hash'
import type { Signer } from '@service-fs/tlog/note'
import { codeOf, messageOf } from '@service-fs/format/errors'
import { LedgerError } from './errors.ts'
import type { Runtime } from './runtime.ts'
import { signHead } from './sign.ts'

/** Records that belong into one commit: the base64 lines and leaf hashes of their entries. */
export interface Batch {
  lines: readonly string[]
  leaves: readonly Hash[]
  /** The records, each with its first entry's place in `lines`. */
  records: readonly { id: string; at: number }[]
}

/** A durable state of the tree. */
export interface Head {
  size: number
  root: Hash
  /** The signed checkpoint. */
  note: string
}

export interface SequencerLimits {
  /** Entries and bytes (of their lines) that may wait. */
  queueEntries: number
  queueBytes: number
  /** Entries and bytes after which a commit takes no further batch. */
  commitEntries: number
  commitBytes: number
}

export interface SequencerHooks {
  /** Makes the commit durable: the lines behind `before`, covered by `head`. */
  write(before: Edge, lines: readonly string[], head: Head): Promise<void>
  /** The commit is durable; runs before anybody is answered. */
  committed(commit: Batch, head: Head): void
  /** Between two commits. Must not reject. */
  between(): Promise<void>
  /** Told once, when no more appends are taken. */
  stopped(reason: LedgerError): void
}

interface Waiting {
  batch: Batch
  characters: number
  resolve(place: { index: number; head: Head }): void
  reject(error: unknown): void
}

export class Sequencer {
  readonly #origin: string
  readonly #signer: Signer
  readonly #runtime: Runtime
  readonly #limits: SequencerLimits
  readonly #hooks: SequencerHooks
  #edge: Edge
  #head: Head
  #queue: Waiting[] = []
  #queueEntries = 0
  #queueCharacters = 0
  #running: Promise<void> | undefined
  #stopped: LedgerError | undefined

  constructor(
    origin: string,
    signer: Signer,
    runtime: Runtime,
    edge: Edge,
    head: Head,
    limits: SequencerLimits,
    hooks: SequencerHooks,
  ) {
    this.#origin = origin
    this.#signer = signer
    this.#runtime = runtime
    this.#limits = limits
    this.#hooks = hooks
    this.#edge = edge
    this.#head = head
  }

  /** The newest durable state. */
  get head(): Head {
    return this.#head
  }

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
   * Resolves with the index of the batch's first entry when the commit that holds the whole batch is durable.
   * @throws LedgerError `busy` when too much waits, or why the ledger takes no appends
   */
  append(batch: Batch): Promise<{ index: number; head: Head }> {
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped)
    let characters = 0
    for (const line of batch.lines) characters += line.length
    const entries = this.#queueEntries + batch.lines.length
    if (
      this.#queue.length > 0 &&
      (entries > this.#limits.queueEntries || this.#queueCharacters + characters > this.#limits.queueBytes)
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

  /** Sees to it that what belongs between two commits is done, also when nothing is appended. */
  poke(): void {
    this.#running ??= this.#run()
  }

  /** Takes no further appends, and lets those that wait fail with `reason`. What is being written stays as it is. */
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

  /** Resolves when nothing waits and nothing is being written. */
  async idle(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    do {
      // What has already arrived joins the commit.
      await this.#runtime.turn()
      const waiting = this.#take()
      if (waiting.length > 0) await this.#commit(waiting)
      await this.#hooks.between()
    } while (this.#queue.length > 0)
    this.#running = undefined
  }

  #take(): Waiting[] {
    let count = 0
    let entries = 0
    let characters = 0
    for (const one of this.#queue) {
      const length = one.batch.lines.length
      if (
        count > 0 &&
        (entries + length > this.#limits.commitEntries ||
          characters + one.characters > this.#limits.commitBytes)
      )
        break
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
    const edge = this.#edge.clone()
    const commit = this.#join(waiting, edge)
    let head: Head
    try {
      head = await signHead({ origin: this.#origin, signer: this.#signer, runtime: this.#runtime }, edge)
    } catch (error) {
      // Nothing was written: the records are free to be handed in again.
      const failure = new LedgerError('signer', `the checkpoint could not be signed: ${messageOf(error)}`, {
        cause: error,
      })
      for (const one of waiting) one.reject(failure)
      return
    }
    try {
      await this.#hooks.write(this.#edge, commit.lines, head)
    } catch (error) {
      const failure = stopReason(error)
      for (const one of waiting) one.reject(failure)
      this.stop(failure)
      return
    }
    let index = this.#edge.size
    this.#edge = edge
    this.#head = head
    this.#hooks.committed(commit, head)
    for (const one of waiting) {
      one.resolve({ index, head })
      index += one.batch.lines.length
    }
  }

  #join(waiting: readonly Waiting[], edge: Edge): Batch {
    const lines: string[] = []
    const leaves: Hash[] = []
    const records: { id: string; at: number }[] = []
    for (const { batch } of waiting) {
      for (const { id, at } of batch.records) records.push({ id, at: lines.length + at })
      for (const line of batch.lines) lines.push(line)
      for (const leaf of batch.leaves) {
        leaves.push(leaf)
        edge.append(leaf, this.#runtime.hasher)
      }
    }
    return { lines, leaves, records }
  }
}

/** Why a ledger takes no more appends after a write failed. */
export function stopReason(error: unknown): LedgerError {
  if (error instanceof LedgerError) return error
  return new LedgerError(CODES[codeOf(error) ?? ''] ?? 'stopped', messageOf(error), { cause: error })
}

/** What a disk says that has no room, or takes no writes: codes of StorageError, and of system calls. */
const CODES: Readonly<Record<string, 'full' | 'read-only'>> = {
  full: 'full',
  ENOSPC: 'full',
  EDQUOT: 'full',
  'read-only': 'read-only',
  EROFS: 'read-only',
}
