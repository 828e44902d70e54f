/** The examiner's packs that a server is making. */
import { Problem } from './problem.ts'
import type { WireRequest } from './request.ts'

/** The entry of the audit sub-ledger that records a pack. */
export interface RecordedPack {
  readonly origin: string
  readonly vkeys: readonly string[]
  readonly index: number
  /** The content of the entry, and its .tlog-proof. */
  readonly payload: Uint8Array
  readonly proof: string
}

/** A pack that an envelope makes. Making it starts with the first call of `next`. */
export interface PackMaker {
  /** The size of the tree from which the records are selected. */
  readonly size: number
  /** Receives the audit entry that the pack shows. Called before the first `next`, but not when reads are public. */
  recorded?(entry: RecordedPack): void
  /** Returns the next bytes of the archive. Rejects when the pack cannot be completed. */
  next(): Promise<IteratorResult<Uint8Array, undefined>>
  /** Ends the work: a pending and every further call of `next` rejects with `why`. Resolves when the work has ended. */
  stop(why: Error): Promise<void>
}

/** The subject of every client when no credentials are configured. */
const ANONYMOUS = 'anonymous'

interface Limits {
  /** The maximum number of packs at the same time. */
  readonly maxPacks: number
}

/** The right to make one pack. */
export interface Slot {
  /** Registers the body, so that a drain can end it. */
  made(body: PackBody): void
  /** Releases the slot. */
  leave(): void
}

interface Held {
  readonly subject: string | undefined
  readonly address: string | undefined
  body?: PackBody
}

/** Limits the number of packs that a server makes at the same time: in total, and to one for each subject and each client address. */
export class Packs {
  readonly #limits: Limits
  readonly #held = new Set<Held>()
  #isDraining = false

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /** The number of packs that are being made. */
  get count(): number {
    return this.#held.size
  }

  /** @throws Problem `busy`, `closed` */
  enter({ subject, address }: Pick<WireRequest, 'subject' | 'address'>): Slot {
    if (this.#isDraining) throw new Problem('closed', 'the ledger is closing')
    if (this.#held.size >= this.#limits.maxPacks)
      throw new Problem('busy', `${this.#held.size} packs are being made already; retry later`)
    for (const other of this.#held) {
      if (subject !== undefined && subject !== ANONYMOUS && subject === other.subject)
        throw new Problem('busy', 'a pack for this subject is being made already; retry later')
      if (address !== undefined && address === other.address)
        throw new Problem('busy', 'a pack for this client address is being made already; retry later')
    }
    const held: Held = { subject, address }
    this.#held.add(held)
    return {
      made: (body) => (held.body = body),
      leave: () => this.#held.delete(held),
    }
  }

  /** Ends all packs, and rejects new ones. */
  drain(): void {
    this.#isDraining = true
    for (const { body } of this.#held) void body?.stop(new Problem('closed', 'the ledger is closing'))
  }
}

/** The body of a response: the bytes of a pack. The work ends when the client leaves, or when the server stops it. */
export class PackBody implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #pack: PackMaker
  readonly #ended: () => void

  /** `ended` is called when the work has ended, possibly more than once. */
  constructor(pack: PackMaker, ended: () => void) {
    this.#pack = pack
    this.#ended = ended
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    try {
      const result = await this.#pack.next()
      if (result.done === true) this.#ended()
      return result
    } catch (error) {
      this.#ended()
      throw error
    }
  }

  /** Called when the client has disconnected. */
  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    await this.stop(new Problem('closed', 'the client disconnected'))
    return { done: true, value: undefined }
  }

  async stop(why: Error): Promise<void> {
    await this.#pack.stop(why)
    this.#ended()
  }
}
