/** Seals the tiles that commits have filled, after the commits are answered. */
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

  /** `afterRound` is called when a round is durable; `failed` when sealing failed, after which the sealer stops. */
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

  /** Entries in full bundles that are not sealed. */
  get backlog(): number {
    return Math.floor(this.#memory.end / 256) * 256 - this.#sealed.entries
  }

  /** Starts to seal full bundles, unless a round is running. */
  wake(): void {
    if (this.#running !== undefined || this.backlog <= 0) return
    this.#running = this.#run()
      .catch(this.#failed)
      .finally(() => {
        this.#running = undefined
      })
  }

  /** Resolves when no round is running and no full bundle waits. */
  async idle(): Promise<void> {
    await this.#running
  }

  /** Resolves when the running round and its `afterRound` have ended. */
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
