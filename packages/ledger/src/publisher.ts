/** Keeps the published checkpoint recent: publishes within a second of a commit, after a seal, and at a clean stop. */
import type { StorageCapability } from '@service-fs/storage/capability'
import type { Runtime } from './runtime.ts'

export interface PublisherOptions {
  storage: StorageCapability
  runtime: Runtime
  /** Called when publishing fails. */
  failed: (error: unknown) => void
}

export class Publisher {
  readonly #options: PublisherOptions
  #newest = ''
  #published: string
  #cancel: (() => void) | undefined
  #running: Promise<void> = Promise.resolve()

  /** `published`: the note that is published. */
  constructor(options: PublisherOptions, published: string) {
    this.#options = options
    this.#published = published
  }

  /** Publishes `note`, the newest durable signed checkpoint, or a newer one, soon. */
  offer(note: string): void {
    const { storage, runtime, failed } = this.#options
    this.#newest = note
    // Publishing is cheap in 'grow' mode, but in 'each' mode every published checkpoint stays on the disk.
    const delayMs = storage.tailMode === 'grow' ? 500 : 60_000
    this.#cancel ??= runtime.after(delayMs, () => {
      this.now().catch(failed)
    })
  }

  /** Publishes the newest signed checkpoint; durable when it resolves. */
  now(): Promise<void> {
    const { storage, runtime } = this.#options
    this.#cancel?.()
    this.#cancel = undefined
    this.#running = this.#running.then(async () => {
      const note = this.#newest
      if (note === '' || note === this.#published) return
      await storage.publish(runtime.codec.utf8Encode(note))
      this.#published = note
    })
    return this.#running
  }
}
