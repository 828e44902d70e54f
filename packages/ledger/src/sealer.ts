/** Seals the tiles that commits have filled, off the path of the answer. */
import { BUNDLES_AT_ONCE } from '@service-fs/storage/capability'
import type { SealedTiles } from './sealed-tiles.ts'
import type { TailMemory } from './tail-memory.ts'

export class Sealer {
  readonly #sealed: SealedTiles
  readonly #memory: TailMemory
  readonly #afterRound: () => Promise<void>
  readonly #failed: (error: unknown) => void
  #running: Promise<void> | undefined
  #round: Promise<void> = Promise.resolve()

  /** `afterRound` is called when a round is durable; `failed` when one could not be sealed, after which it starts no other. */
  constructor(
    sealed: SealedTiles,
    memory: TailMemory,
    afterRound: () => Promise<void>,
    failed: (error: unknown) => void,
  ) {
    this.#sealed = sealed
    this.#memory = memory
    this.#afterRound = afterRound
    this.#failed = failed
  }

  /** How many entries wait in full bundles. */
  get backlog(): number {
    return Math.floor(this.#memory.end / 256) * 256 - this.#sealed.entries
  }

  /** Sees to it that what is full gets sealed. */
  wake(): void {
    if (this.#running !== undefined || this.backlog <= 0) return
    this.#running = this.#run()
      .catch(this.#failed)
      .finally(() => {
        this.#running = undefined
      })
  }

  /** Resolves when a round that is under way, and those behind it, are over. */
  async idle(): Promise<void> {
    await this.#running
  }

  /** Resolves when the round that is under way, with what comes after it, is over. */
  async round(): Promise<void> {
    await this.#round.catch(() => undefined)
  }

  async #run(): Promise<void> {
    while (this.backlog > 0) {
      const bundles = []
      const from = this.#sealed.entries
      const to = Math.min(from + BUNDLES_AT_ONCE * 256, from + this.backlog)
      for (let at = from; at < to; at += 256) {
        const lines = this.#memory.lines(at, at + 256)
        const leaves = this.#memory.leaves(at, at + 256)
        if (lines === undefined || leaves === undefined)
          throw new Error(`entries ${at} to ${at + 255} are neither sealed nor in memory`)
        bundles.push({ lines, leaves })
      }
      this.#round = this.#sealed.seal(bundles).then(() => this.#afterRound())
      await this.#round
    }
  }
}
