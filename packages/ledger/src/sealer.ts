/** Seals the tiles that commits have filled, after the callers have their results. */
import { BUNDLES_AT_ONCE } from '@service-fs/storage/capability'
import type { SealedTiles } from './sealed-tiles.ts'
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
  #running: Promise<void> | undefined
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
    if (this.#running !== undefined || this.backlog <= 0) return
    this.#running = this.#run()
      .catch(this.#options.failed)
      .finally(() => {
        this.#running = undefined
      })
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
    const { sealed, memory, afterRound } = this.#options
    while (this.backlog > 0) {
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
      this.#round = sealed.seal(bundles).then(afterRound)
      await this.#round
    }
  }
}
