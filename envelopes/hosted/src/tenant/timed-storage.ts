/** Measures a ledger's storage: how long each verb takes, and which verbs fail. */
import { performance } from 'node:perf_hooks'
import type { StorageCapability } from '@service-fs/storage/capability'
import { StorageError } from '@service-fs/storage/errors'
import type { ReadableName, SealedName } from '@service-fs/storage/object-name'

export interface StorageWatch {
  /** Called when a verb succeeds. */
  done(verb: string, seconds: number): void
  /** Called when a verb rejects, with the code of its StorageError or `unknown`. */
  failed(verb: string, code: string): void
}

/** Wraps a storage; `watch` receives every call of every verb but `close`. */
export function timedStorage(storage: StorageCapability, watch: StorageWatch): StorageCapability {
  const time =
    <A extends unknown[], R>(verb: string, run: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      const started = performance.now()
      try {
        const result = await run(...args)
        watch.done(verb, (performance.now() - started) / 1000)
        return result
      } catch (error) {
        watch.failed(verb, error instanceof StorageError ? error.code : 'unknown')
        throw error
      }
    }
  return {
    tailMode: storage.tailMode,
    keepsTail: storage.keepsTail ?? false,
    close: () => storage.close(),
    tail: () => watchedTail(storage, watch),
    read: time('read', (name: ReadableName) => storage.read(name)),
    commit: time('commit', (size: number, bytes: Uint8Array) => storage.commit(size, bytes)),
    seal: time('seal', (name: SealedName, bytes: Uint8Array) => storage.seal(name, bytes)),
    beginTail: time('begin_tail', (start: number, size: number, bytes: Uint8Array) =>
      storage.beginTail(start, size, bytes),
    ),
    publish: time('publish', (checkpoint: Uint8Array) => storage.publish(checkpoint)),
  }
}

async function* watchedTail(
  storage: StorageCapability,
  watch: StorageWatch,
): ReturnType<StorageCapability['tail']> {
  const started = performance.now()
  try {
    yield* storage.tail()
  } catch (error) {
    watch.failed('tail', error instanceof StorageError ? error.code : 'unknown')
    throw error
  }
  watch.done('tail', (performance.now() - started) / 1000)
}
