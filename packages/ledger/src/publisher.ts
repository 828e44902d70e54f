/** Keeps the published checkpoint recent: publishes within a second of a commit, after a seal, and at a clean stop. */
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

  /** `published`: the published checkpoint. `failed` is called when publishing a newer one fails. */
  constructor(
    storage: StorageCapability,
    runtime: Runtime,
    published: string,
    failed: (error: unknown) => void,
  ) {
    this.#storage = storage
    this.#runtime = runtime
    // Publishing is cheap in 'grow' mode. In 'each' mode every published checkpoint stays on the disk.
    this.#delayMs = storage.tailMode === 'grow' ? 500 : 60_000
    this.#published = published
    this.#failed = failed
  }

  /** Publishes `note`, the newest durable signed checkpoint, or a newer one, soon. */
  offer(note: string): void {
    this.#newest = note
    this.#cancel ??= this.#runtime.after(this.#delayMs, () => {
      this.now().catch(this.#failed)
    })
  }

  /** Publishes the newest signed checkpoint; durable when it resolves. */
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
