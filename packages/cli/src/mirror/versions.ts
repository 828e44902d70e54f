/** The versions of the objects that a copy replaces: checkpoints and tail files. */
import { S3Error } from '@service-fs/s3/errors'
import type { S3Objects } from '@service-fs/s3/objects'

/** Remembers the version of each object that it read or wrote first, and fails when another process has changed the object since. */
export class Versions {
  readonly #objects: S3Objects
  /** The version of each known object; undefined when there was none. */
  readonly #known = new Map<string, string | undefined>()

  constructor(objects: S3Objects) {
    this.#objects = objects
  }

  /** @throws S3Error `changed` */
  async read(name: string, most: number): Promise<Uint8Array | undefined> {
    const found = await this.#objects.read(name, most)
    if (this.#known.has(name) && this.#known.get(name) !== found?.etag)
      throw new S3Error('changed', `${this.#objects.placeOf(name)}: another process changed it`)
    this.#known.set(name, found?.etag)
    return found?.bytes
  }

  /** Replaces the known version. An object that was never read must not exist. @throws S3Error `changed` */
  async replace(name: string, bytes: Uint8Array): Promise<void> {
    this.#known.set(name, await this.#objects.replace(name, bytes, this.#known.get(name)))
  }

  async remove(name: string): Promise<void> {
    await this.#objects.remove(name)
    this.#known.delete(name)
  }

  /** Forgets all versions: the next reads learn them again. */
  forget(): void {
    this.#known.clear()
  }
}
