import { BUNDLES_AT_ONCE, type StorageCapability, type TailFile } from './capability.ts'
import { StorageError } from './errors.ts'
import {
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
 * What a backend does. It is only ever handed checked arguments: `name` is of the ledger format, `start` is the first entry of a
 * tail file, sizes are within their limits. append() and beginTail() come one at a time, publish() too.
 */
export interface StorageDriver {
  readonly tailMode: 'grow' | 'each'
  /** See StorageCapability.keepsTail. */
  readonly keepsTail?: boolean
  /** A sealed object or `checkpoint`; undefined when there is none; 'corrupt' when it has more than `limit` bytes. */
  read(name: ReadableName, limit: number): Promise<Uint8Array | undefined>
  /** Whether the object is sealed, and durable. */
  has(name: SealedName): Promise<boolean>
  /** See StorageCapability.seal(). */
  seal(name: SealedName, bytes: Uint8Array): Promise<void>
  /**
   * The first entries of the tail files, in any order: of all, or at least of those that continue what is sealed. 'corrupt' when
   * something else stands among them.
   */
  tailStarts(): Promise<number[]>
  /** See StorageCapability.tail(); 'corrupt' when it has more than `limit` bytes. `isNewest`: no other file begins behind it. */
  readTail(start: number, limit: number, isNewest: boolean): Promise<Uint8Array>
  /** Makes the name of a sealed object, which is there, durable, whatever became of the process that gave it. Absent: it is. */
  renew?(name: SealedName): Promise<void>
  /** Append to the tail file that begins at `start` and has `length` bytes; durable when it resolves. */
  append(start: number, length: number, bytes: Uint8Array): Promise<void>
  /**
   * Make or replace the tail file that begins at `start`, atomically, the tree size after it being `size`; once that is durable,
   * remove the tail files that begin at `older`. With `keepsTail` a 'conflict' when there is one that may not be replaced.
   */
  beginTail(start: number, size: number, bytes: Uint8Array, older: readonly number[]): Promise<void>
  /** See StorageCapability.publish(). */
  publish(checkpoint: Uint8Array): Promise<void>
  close(): Promise<void>
}

const CHECKPOINT = { kind: 'checkpoint' } as const

interface Tail {
  /** First entries of the tail files, ascending; in 'each' mode the newest is enough. */
  starts: number[]
  /** Bytes in the newest, once it was read or begun. */
  length: number | undefined
}

/** The storage capability over a driver: checks every argument, keeps the order of writes, knows where the tail is. */
export class CheckedStorage implements StorageCapability {
  readonly tailMode: 'grow' | 'each'
  readonly keepsTail: boolean
  readonly #driver: StorageDriver
  #tail: Tail | undefined
  /** Bundles that another process sealed behind the oldest tail file, as far as the sync of their names may have failed. */
  #found: number[] = []
  #tailWrites: Promise<unknown> = Promise.resolve()
  #publishes: Promise<unknown> = Promise.resolve()
  readonly #pending = new Set<Promise<unknown>>()
  #closing: Promise<void> | undefined

  constructor(driver: StorageDriver) {
    this.#driver = driver
    this.tailMode = driver.tailMode
    this.keepsTail = driver.keepsTail ?? false
  }

  read(name: ReadableName): Promise<Uint8Array | undefined> {
    return this.#run(() => {
      if (name.kind !== 'checkpoint') checkSealed(name)
      return this.#driver.read(name, maxBytes(name))
    })
  }

  seal(name: SealedName, bytes: Uint8Array): Promise<void> {
    return this.#run(() => {
      checkSealed(name)
      checkBytes(name, bytes, maxBytes(name))
      return this.#driver.seal(name, bytes)
    })
  }

  commit(size: number, bytes: Uint8Array): Promise<void> {
    return this.#inTailOrder(async () => {
      checkSize('size', size)
      checkBytes('commit', bytes, MAX_TAIL_BYTES)
      if (this.tailMode === 'each')
        throw new StorageError('no-tail', 'commit: here every commit begins a tail file')
      const tail = this.#tail
      const start = tail?.starts.at(-1)
      if (tail?.length === undefined || start === undefined) {
        throw new StorageError('no-tail', 'commit: no tail was begun or read')
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
        throw new StorageError('conflict', `${tailPath(start)}: there is ${tailPath(newest)} already`)
      }
      const older = this.tailMode === 'grow' ? starts.filter((other) => other < start) : []
      const areSealed = this.tailMode === 'grow' && (await this.#isSealedBoundary(start, starts[0] ?? start))
      if (replaces && !areSealed && start !== newest) {
        const what = 'the entries before it are not all sealed'
        throw new StorageError('unsealed', `${tailPath(start)}: ${what}`)
      }
      if (areSealed) await this.#renewFound()
      await this.#driver.beginTail(start, size, bytes, areSealed ? older : [])
      this.#tail = { starts: areSealed ? [start] : [...older, start], length: bytes.length }
    })
  }

  /** Before the tail files that have the same entries go. */
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

  /** Lists the tail and says which files make it up: see StorageCapability.tail(). */
  async #pickTail(): Promise<number[]> {
    const starts = await this.#listTail()
    const length = this.#tail?.starts.at(-1) === starts.at(-1) ? this.#tail?.length : undefined
    this.#tail = { starts, length }
    const [oldest] = starts
    if (oldest === undefined) return []
    if (!(await this.#isSealedBefore(oldest)))
      throw new StorageError('corrupt', `${tailPath(oldest)}: the entries before it are not sealed`)
    // Bundles are sealed side by side: each one from the oldest tail file on is looked for.
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

  /** Whether the older tail files may go. A ledger that may only begin at a boundary has sealed what is before it. */
  async #isSealedBoundary(start: number, oldest: number): Promise<boolean> {
    if (start % 256 !== 0 || !(await this.#isSealedBefore(start))) return false
    if (!this.keepsTail) return true
    for (let bundle = Math.floor(oldest / 256); bundle * 256 < start; bundle++)
      if (!(await this.#hasBundle(bundle))) return false
    return true
  }

  /** Whether the entries before `start` are sealed: the last bundle that has any of them is. */
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

/** Runs `next` when `previous` is settled, however it ended. */
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
