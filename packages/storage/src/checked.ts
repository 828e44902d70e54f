import { BUNDLES_AT_ONCE, type StorageCapability, type TailFile } from './capability.ts'
import { StorageError } from './errors.ts'
import {
  HASH_BYTES,
  isSealedName,
  labelOf,
  MAX_TAIL_BYTES,
  maxBytes,
  tailPath,
  type ObjectName,
  type ReadableName,
  type SealedName,
} from './object-name.ts'

/**
 * A storage backend. CheckedStorage checks all arguments before it calls the backend: `name` is of the ledger format, `start` is the first
 * entry of a tail file, and sizes are within their limits. Calls of append() and beginTail() never overlap, and neither do calls of
 * publish().
 */
export interface StorageDriver {
  readonly tailMode: 'grow' | 'each'
  /** See StorageCapability.keepsTail. */
  readonly keepsTail?: boolean
  /** See StorageCapability.read(). Rejects with `corrupt` when the object has more than `limit` bytes. */
  read(name: ReadableName, limit: number): Promise<Uint8Array | undefined>
  /** Reports whether the object is sealed, durably. */
  has(name: SealedName): Promise<boolean>
  /** See StorageCapability.seal(). */
  seal(name: SealedName, bytes: Uint8Array): Promise<void>
  /**
   * Returns the first entry of each tail file, in any order. Files that do not continue the sealed entries may be omitted.
   * Rejects with `corrupt` when it finds a foreign file among them.
   */
  tailStarts(): Promise<number[]>
  /**
   * Returns the bytes of a tail file; see StorageCapability.tail(). Rejects with `corrupt` when it has more than `limit` bytes.
   * `isNewest`: no other file begins after it.
   */
  readTail(start: number, limit: number, isNewest: boolean): Promise<Uint8Array>
  /**
   * Makes the name of an existing sealed object durable, even if another process made it. Absent if the names of sealed objects are always
   * durable.
   */
  renew?(name: SealedName): Promise<void>
  /** Appends to the tail file that begins at `start` and has `length` bytes; durable when it resolves. */
  append(start: number, length: number, bytes: Uint8Array): Promise<void>
  /**
   * Creates or replaces the tail file that begins at `start`, atomically; `size` is the tree size after it. Once the file is durable,
   * removes the tail files that begin at `older`. With `keepsTail` rejects with `conflict` when the existing file is protected.
   */
  beginTail(start: number, size: number, bytes: Uint8Array, older: readonly number[]): Promise<void>
  /** See StorageCapability.publish(). */
  publish(checkpoint: Uint8Array): Promise<void>
  close(): Promise<void>
}

const CHECKPOINT = { kind: 'checkpoint' } as const

interface Tail {
  /** The first entry of each tail file, ascending; in 'each' mode the newest file is enough. */
  starts: number[]
  /** The number of bytes in the newest tail file; undefined until that file is read or begun. */
  length: number | undefined
}

/** The storage capability over a driver: checks every argument, orders writes, and tracks the tail files. */
export class CheckedStorage implements StorageCapability {
  readonly tailMode: 'grow' | 'each'
  readonly keepsTail: boolean
  readonly #driver: StorageDriver
  readonly #hashBytes: number
  #tail: Tail | undefined
  /** The last bundles that another process sealed after the oldest tail file's start. Its sync of their names may have failed. */
  #found: number[] = []
  #tailWrites: Promise<unknown> = Promise.resolve()
  #publishes: Promise<unknown> = Promise.resolve()
  readonly #pending = new Set<Promise<unknown>>()
  #closing: Promise<void> | undefined

  /** `hashBytes`: the length of a hash in tiles, in bytes. */
  constructor(driver: StorageDriver, hashBytes: number = HASH_BYTES) {
    this.#driver = driver
    this.#hashBytes = hashBytes
    this.tailMode = driver.tailMode
    this.keepsTail = driver.keepsTail ?? false
  }

  read(name: ReadableName): Promise<Uint8Array | undefined> {
    return this.#run(() => {
      if (name.kind !== 'checkpoint') checkSealed(name)
      return this.#driver.read(name, maxBytes(name, this.#hashBytes))
    })
  }

  seal(name: SealedName, bytes: Uint8Array): Promise<void> {
    return this.#run(() => {
      checkSealed(name)
      checkBytes(name, bytes, maxBytes(name, this.#hashBytes))
      return this.#driver.seal(name, bytes)
    })
  }

  commit(size: number, bytes: Uint8Array): Promise<void> {
    return this.#inTailOrder(async () => {
      checkSize('size', size)
      checkBytes('commit', bytes, MAX_TAIL_BYTES)
      if (this.tailMode === 'each')
        throw new StorageError('no-tail', 'commit: expected beginTail(), as every commit is a tail file')
      const tail = this.#tail
      const start = tail?.starts.at(-1)
      if (tail?.length === undefined || start === undefined) {
        throw new StorageError('no-tail', 'commit: expected an earlier beginTail() or tail()')
      }
      if (size < start) throw new RangeError(`size ${size} is before the tail's first entry, ${start}`)
      if (tail.length + bytes.length > MAX_TAIL_BYTES) {
        throw new StorageError('full', `${tailPath(start)}: would have more than ${MAX_TAIL_BYTES} bytes`)
      }
      await this.#driver.append(start, tail.length, bytes)
      tail.length += bytes.length
    })
  }

  beginTail(start: number, size: number, bytes: Uint8Array): Promise<void> {
    return this.#inTailOrder(async () => {
      checkSize('start', start)
      checkSize('size', size)
      if (size < start) throw new RangeError(`size ${size} is before start ${start}`)
      checkBytes('beginTail', bytes, MAX_TAIL_BYTES)
      this.#tail ??= { starts: await this.#listTail(), length: undefined }
      const { starts } = this.#tail
      const newest = starts.at(-1) ?? -1
      const replaces = this.tailMode === 'grow' && !this.keepsTail
      if (start < newest || (start === newest && this.tailMode === 'each')) {
        throw new StorageError(
          'conflict',
          `${tailPath(start)}: expected a start after ${tailPath(newest)}, which exists`,
        )
      }
      const older = this.tailMode === 'grow' ? starts.filter((other) => other < start) : []
      const areSealed = this.tailMode === 'grow' && (await this.#isSealedBoundary(start, starts[0] ?? start))
      if (replaces && !areSealed && start !== newest) {
        const what = 'not every entry before it is sealed'
        throw new StorageError('unsealed', `${tailPath(start)}: ${what}`)
      }
      if (areSealed) await this.#renewFound()
      await this.#driver.beginTail(start, size, bytes, areSealed ? older : [])
      this.#tail = { starts: areSealed ? [start] : [...older, start], length: bytes.length }
    })
  }

  /** Makes the names of the bundles in #found durable before the tail files with the same entries are removed. */
  async #renewFound(): Promise<void> {
    for (const bundle of this.#found) await this.#driver.renew?.({ kind: 'bundle', index: bundle })
    this.#found = []
  }

  async *tail(): AsyncIterable<TailFile> {
    const starts = await this.#inTailOrder(() => this.#pickTail())
    for (const [i, start] of starts.entries()) {
      const bytes = await this.#inTailOrder(async () => {
        const isNewest = i === starts.length - 1
        const read = await this.#driver.readTail(start, MAX_TAIL_BYTES, isNewest)
        if (isNewest && this.#tail?.starts.at(-1) === start) this.#tail.length = read.length
        return read
      })
      yield { start, bytes }
    }
  }

  publish(checkpoint: Uint8Array): Promise<void> {
    return this.#run(() => {
      checkBytes(CHECKPOINT, checkpoint, maxBytes(CHECKPOINT))
      const done = after(this.#publishes, () => this.#driver.publish(checkpoint))
      this.#publishes = done
      return done
    })
  }

  close(): Promise<void> {
    this.#closing ??= Promise.allSettled(this.#pending).then(() => this.#driver.close())
    return this.#closing
  }

  /** Lists the tail files and returns the first entries of the files that tail() yields. */
  async #pickTail(): Promise<number[]> {
    const starts = await this.#listTail()
    const length = this.#tail?.starts.at(-1) === starts.at(-1) ? this.#tail?.length : undefined
    this.#tail = { starts, length }
    const [oldest] = starts
    if (oldest === undefined) return []
    if (!(await this.#isSealedBefore(oldest)))
      throw new StorageError('corrupt', `${tailPath(oldest)}: not every entry before it is sealed`)
    // Check every bundle: bundles are sealed concurrently, so a later bundle may exist without an earlier one.
    let sealed = Math.ceil(oldest / 256)
    while (sealed * 256 < (starts.at(-1) ?? 0) && (await this.#hasBundle(sealed))) {
      this.#found = [...this.#found, sealed].slice(-BUNDLES_AT_ONCE)
      sealed++
    }
    return starts.slice(starts.findLastIndex((start) => start <= sealed * 256))
  }

  async #listTail(): Promise<number[]> {
    return (await this.#driver.tailStarts()).sort((a, b) => a - b)
  }

  /**
   * Reports whether `start` is a bundle boundary with every entry before it sealed, so that older tail files can be removed. Without
   * `keepsTail` the previous tail file began at such a boundary too, so it is enough to check the last bundle.
   */
  async #isSealedBoundary(start: number, oldest: number): Promise<boolean> {
    if (start % 256 !== 0 || !(await this.#isSealedBefore(start))) return false
    if (!this.keepsTail) return true
    for (let bundle = Math.floor(oldest / 256); bundle * 256 < start; bundle++)
      if (!(await this.#hasBundle(bundle))) return false
    return true
  }

  /** Reports whether the last bundle with an entry before `start` is sealed. */
  async #isSealedBefore(start: number): Promise<boolean> {
    const bundles = Math.ceil(start / 256)
    return bundles === 0 || (await this.#hasBundle(bundles - 1))
  }

  #hasBundle(index: number): Promise<boolean> {
    return this.#driver.has({ kind: 'bundle', index })
  }

  #inTailOrder<T>(verb: () => Promise<T>): Promise<T> {
    return this.#run(() => {
      const done = after(this.#tailWrites, verb)
      this.#tailWrites = done
      return done
    })
  }

  async #run<T>(verb: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) throw new StorageError('closed', 'the storage is closed')
    const done = verb()
    this.#pending.add(done)
    try {
      return await done
    } finally {
      this.#pending.delete(done)
    }
  }
}

/** Runs `next` after `previous` resolves or rejects. */
function after<T>(previous: Promise<unknown>, next: () => Promise<T>): Promise<T> {
  return previous.then(next, next)
}

function checkSealed(name: ObjectName): void {
  if (isSealedName(name)) return
  throw new StorageError('path', `not the name of a sealed object: ${JSON.stringify(name).slice(0, 100)}`)
}

function checkSize(name: string, size: number): void {
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError(`${name} is not a tree size: ${size}`)
}

function checkBytes(name: ObjectName | string, bytes: Uint8Array, limit: number): void {
  if (!(bytes instanceof Uint8Array)) throw new TypeError(`${labelOf(name)}: bytes are not a Uint8Array`)
  if (bytes.length === 0) throw new RangeError(`${labelOf(name)}: no bytes`)
  if (bytes.length > limit)
    throw new StorageError('full', `${labelOf(name)}: ${bytes.length} bytes, at most ${limit} are allowed`)
}
