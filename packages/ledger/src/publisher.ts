/** Keeps the `checkpoint` cell recent: within a second of a commit, after a seal, at a clean stop. */
import type { StorageCapability } from '@service-fs/storage/capability'
import type { Runtime } from './runtime.ts'

export class Publisher {
  readonly #storage: StorageCapability
  readonly #runtime: Runtime
  readonly #delayMs: number
  readonly #failed: (error: unknown) => void
  #newest = ''
  #published: string
  #cancel: (() => void) | undefined
  #running: Promise<void> = Promise.resolve()

  /** `published`: what the cell holds. `failed` is told when it could not be replaced. */
  constructor(
    storage: StorageCapability,
    runtime: Runtime,
    published: string,
    failed: (error: unknown) => void,
  ) {
    this.#storage = storage
    this.#runtime = runtime
    // A replacement costs nothing in 'grow' mode and stays on the disk in 'each' mode.
    this.#delayMs = storage.tailMode === 'grow' ? 500 : 60_000
    this.#published = published
    this.#failed = failed
  }

  /** `note` is the newest durable signed checkpoint: the cell will have it, or a newer one, soon. */
  offer(note: string): void {
    this.#newest = note
    this.#cancel ??= this.#runtime.after(this.#delayMs, () => {
      this.now().catch(this.#failed)
    })
  }

  /** Puts the newest signed checkpoint into the cell; durable when it resolves. */
  now(): Promise<void> {
    this.#cancel?.()
    this.#cancel = undefined
    this.#running = this.#running.then(async () => {
      const note = this.#newest
      if (note === '' || note === this.#published) return
      await this.#storage.publish(this.#runtime.codec.utf8Encode(note))
      this.#published = note
    })
    return this.#running
  }
}
