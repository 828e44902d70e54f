/** Seals the tiles that commits have filled, after the callers have their results. */
import { BUNDLES_AT_ONCE } from '@service-fs/storage/capability'
import type { SealableBundle, SealedTiles } from './sealed-tiles.ts'
import type { TailMemory } from './tail-memory.ts'

export interface SealerOptions {
  sealed: SealedTiles
  /** Holds the entries to seal. */
  memory: TailMemory
  /** Called when a round is durable. */
  afterRound: () => Promise<void>
  /** Called when sealing fails. */
  failed: (error: unknown) => void
}

export class Sealer {
  readonly #options: SealerOptions
  #isRunning = false
  #running: Promise<void> = Promise.resolve()
  #round: Promise<void> = Promise.resolve()

  constructor(options: SealerOptions) {
    this.#options = options
  }

  /** Entries in full bundles that are not sealed. */
  get backlog(): number {
    const { memory, sealed } = this.#options
    return Math.floor(memory.end / 256) * 256 - sealed.entries
  }

  /** Starts to seal full bundles, unless a round is running. */
  wake(): void {
    if (this.#isRunning || this.backlog <= 0) return
    this.#isRunning = true
    this.#running = this.#run()
  }

  /** Resolves when no round is running and every full bundle is sealed. */
  async idle(): Promise<void> {
    await this.#running
  }

  /** Resolves when the running round and its `afterRound` have ended. */
  async round(): Promise<void> {
    await this.#round.catch(() => undefined)
  }

  async #run(): Promise<void> {
    try {
      while (this.backlog > 0) {
        this.#round = this.#options.sealed.seal(this.#bundles()).then(this.#options.afterRound)
        await this.#round
      }
    } catch (error) {
      this.#options.failed(error)
    } finally {
      // Do not await after the last look at the backlog: a commit in between would find a round running, and start none.
      this.#isRunning = false
    }
  }

  /** Returns the next full bundles. */
  #bundles(): SealableBundle[] {
    const { sealed, memory } = this.#options
    const bundles = []
    const from = sealed.entries
    const to = Math.min(from + BUNDLES_AT_ONCE * 256, from + this.backlog)
    for (let at = from; at < to; at += 256) {
      const text = memory.text(at, at + 256)
      const leaves = memory.leaves(at, at + 256)
      if (text === undefined || leaves === undefined)
        throw new Error(`entries ${at} to ${at + 255} are neither sealed nor in memory`)
      bundles.push({ text, leaves, root: memory.rootOf(at / 256) })
    }
    return bundles
  }
}
