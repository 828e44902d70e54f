/** Stores a copy of one log as objects of an S3 store. A copy has one commit in its tail, so nothing appends to a tail file. */
import type { S3Objects } from '@service-fs/s3/objects'
import type { StorageDriver } from '@service-fs/storage/checked'
import { StorageError } from '@service-fs/storage/errors'
import {
  formatObjectName,
  parseTailNames,
  tailPath,
  type ReadableName,
  type SealedName,
} from '@service-fs/storage/object-name'
import { codeOf } from '@service-fs/format/errors'
import { asStoreError } from '../s3/store-errors.ts'
import type { LogFolder } from './copy-place.ts'
import type { Versions } from './versions.ts'

/** The most files in `tail/`: a run leaves one, and one more when it is killed. */
const MOST_TAILS = 10_000

export class StoreDriver implements StorageDriver {
  readonly tailMode = 'grow'
  readonly #objects: S3Objects
  readonly #versions: Versions
  readonly #folder: LogFolder

  constructor(objects: S3Objects, versions: Versions, folder: LogFolder) {
    this.#objects = objects
    this.#versions = versions
    this.#folder = folder
  }

  read(name: ReadableName, limit: number): Promise<Uint8Array | undefined> {
    const path = this.#path(formatObjectName(name))
    return asStoreError(async () => {
      if (name.kind === 'checkpoint') return this.#versions.read(path, limit)
      return (await this.#objects.read(path, limit))?.bytes
    })
  }

  has(name: SealedName): Promise<boolean> {
    return asStoreError(() => this.#objects.has(this.#path(formatObjectName(name))))
  }

  async seal(name: SealedName, bytes: Uint8Array): Promise<void> {
    const path = formatObjectName(name)
    await asStoreError(async () => {
      try {
        await this.#objects.create(this.#path(path), bytes)
      } catch (error) {
        if (codeOf(error) !== 'conflict') throw error
        throw new StorageError('conflict', `${path}: other bytes are sealed`)
      }
    })
  }

  async tailStarts(): Promise<number[]> {
    const listed = await asStoreError(() => this.#objects.list(this.#path('tail'), MOST_TAILS))
    return parseTailNames(listed.map(({ name }) => name))
  }

  async readTail(start: number, limit: number): Promise<Uint8Array> {
    const path = tailPath(start)
    const bytes = await asStoreError(() => this.#versions.read(this.#path(path), limit))
    if (bytes === undefined)
      throw new StorageError('corrupt', `${path}: expected the listed file, found none`)
    return bytes
  }

  append(start: number): Promise<void> {
    return Promise.reject(new StorageError('read-only', `${tailPath(start)}: an object cannot grow`))
  }

  beginTail(start: number, _size: number, bytes: Uint8Array, older: readonly number[]): Promise<void> {
    return asStoreError(async () => {
      await this.#versions.replace(this.#path(tailPath(start)), bytes)
      for (const one of older) await this.#versions.remove(this.#path(tailPath(one)))
    })
  }

  publish(checkpoint: Uint8Array): Promise<void> {
    return asStoreError(() => this.#versions.replace(this.#path('checkpoint'), checkpoint))
  }

  async close(): Promise<void> {}

  #path(path: string): string {
    return this.#folder === '' ? path : `${this.#folder}/${path}`
  }
}
