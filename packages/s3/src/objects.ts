/** The objects below the prefix of a place: ones that are written once, and ones that a single writer replaces. */
import { S3Error } from './errors.ts'
import { parseListing, type ListingPage } from './listing.ts'
import {
  ObjectLocks,
  extendRetention,
  lockModeOf,
  setHold,
  type LockMode,
  type LongerLock,
  type ObjectLock,
} from './object-lock.ts'
import type { S3Place } from './place.ts'
import { MAX_ANSWER_BYTES, Requests, type RequestOptions, type S3Answer } from './requests.ts'

export interface StoredObject {
  bytes: Uint8Array
  /** Names this version of the object in `replace`. */
  etag: string
}

export interface ListedObject {
  /** The name within the folder. */
  name: string
  /** A folder stands for all objects whose names begin with its name and a slash. */
  kind: 'object' | 'folder'
}

export interface ObjectsOptions extends RequestOptions {
  /** The lock of the objects that are written once. */
  lock?: ObjectLock | undefined
}

const MAX_LISTING_BYTES = 1 << 22

export class S3Objects {
  readonly #place: S3Place
  readonly #requests: Requests
  readonly #locks: ObjectLocks | undefined

  constructor(place: S3Place, { lock, ...options }: ObjectsOptions) {
    this.#place = place
    this.#requests = new Requests(place, options)
    this.#locks = lock && new ObjectLocks(this.#requests, place.bucket, lock)
  }

  /** The place of the object with this name, for messages. */
  placeOf(name: string): string {
    return `s3://${this.#place.bucket}/${this.#key(name)}`
  }

  /** Checks that the bucket has Object Lock, if objects are to be locked. @throws S3Error `refused` */
  async checkBucket(): Promise<void> {
    await this.#locks?.checkBucket()
  }

  /** Checks that an object has a lock, if objects are to be locked. @throws S3Error `refused` */
  async checkLock(name: string): Promise<void> {
    await this.#locks?.check(this.#key(name))
  }

  /** Returns the mode of the lock of an object; undefined when it has no lock. */
  lockModeOf(name: string): Promise<LockMode | undefined> {
    return lockModeOf(this.#requests, this.#key(name))
  }

  /** Locks an object, or extends its lock; never shortens or weakens it. Reports whether it changed the lock. */
  extendLock(name: string, lock: LongerLock): Promise<boolean> {
    return extendRetention(this.#requests, this.#key(name), lock)
  }

  /** Puts or lifts the legal hold of an object. Reports whether it changed the hold. */
  setHold(name: string, isHeld: boolean): Promise<boolean> {
    return setHold(this.#requests, this.#key(name), isHeld)
  }

  /** Reports whether there is an object with this name. */
  async has(name: string): Promise<boolean> {
    const answer = await this.#requests.send({ method: 'HEAD', key: this.#key(name), most: 0 })
    if (answer.status !== 200 && answer.status !== 404) throw this.#unexpected('HEAD', name, answer)
    return answer.status === 200
  }

  /** Reads an object of at most `most` bytes. Resolves to undefined when there is none. @throws S3Error */
  async read(name: string, most: number): Promise<StoredObject | undefined> {
    const answer = await this.#requests.send({ method: 'GET', key: this.#key(name), most })
    // A bucket that is missing, and a server that is no store, have this status, too: they must not look like an empty bucket.
    if (answer.status === 404 && answer.code === 'NoSuchKey') return undefined
    if (answer.status === 404) this.#missing(name, answer)
    if (answer.status !== 200 || answer.etag === undefined) throw this.#unexpected('GET', name, answer)
    return { bytes: answer.body, etag: answer.etag }
  }

  /**
   * Stores an object that is never replaced, with the lock. Succeeds if the store already has the same bytes; then it sets or extends
   * their lock.
   * @throws S3Error `conflict` if it has other bytes
   */
  async create(name: string, bytes: Uint8Array): Promise<void> {
    const headers = { 'if-none-match': '*', ...this.#locks?.headers() }
    const answer = await this.#put(name, bytes, headers)
    if (answer.status === 200) return this.#locks?.prove(this.#key(name))
    if (answer.status === 404) this.#missing(name, answer)
    if (answer.status !== 412) throw this.#unexpected('PUT', name, answer)
    if (!(await this.#holds(name, bytes)))
      throw new S3Error('conflict', `${name}: expected the same bytes in the store, found others`)
    await this.#locks?.renew(this.#key(name))
  }

  /** Removes an object that has no lock. Succeeds if there is none. */
  async remove(name: string): Promise<void> {
    const answer = await this.#requests.send({
      method: 'DELETE',
      key: this.#key(name),
      most: MAX_ANSWER_BYTES,
    })
    if (answer.status === 412) throw this.#unexpected('DELETE', name, answer)
  }

  /**
   * Replaces an object, which has no lock. `etag` is that of the version that was read; undefined if there was none.
   * Returns the new version.
   * @throws S3Error `changed` if the store has another version
   */
  async replace(name: string, bytes: Uint8Array, etag: string | undefined): Promise<string> {
    const condition = etag === undefined ? { 'if-none-match': '*' } : { 'if-match': etag }
    const answer = await this.#put(name, bytes, condition)
    if (answer.status === 200) {
      if (answer.etag === undefined) throw this.#unexpected('PUT', name, answer)
      return answer.etag
    }
    if (answer.status === 404) this.#missing(name, answer)
    // An attempt without a clear answer may have stored these bytes.
    const found = answer.unclear > 0 ? await this.read(name, bytes.length).catch(ignoreLarger) : undefined
    if (found !== undefined && Buffer.compare(found.bytes, bytes) === 0) return found.etag
    if (answer.status === 412 || answer.status === 404)
      throw new S3Error('changed', `${name}: another writer changed it in the store`, answer.status)
    throw this.#unexpected('PUT', name, answer)
  }

  /**
   * Lists a folder ('' is the place itself) in the order of names; at most `most` objects and folders. A listing shows what there was,
   * never that there is no more.
   */
  async list(folder: string, most: number): Promise<ListedObject[]> {
    const prefix = this.#key(folder === '' ? '' : `${folder}/`)
    const listed: ListedObject[] = []
    for (let token: string | undefined; ;) {
      const { names, folders, next } = await this.#page(folder, prefix, token)
      // Programs with folders make an object with the name of the folder itself.
      for (const name of names)
        if (name !== prefix) listed.push({ name: within(prefix, name), kind: 'object' })
      for (const name of folders)
        listed.push({ name: within(prefix, name).replace(/\/$/, ''), kind: 'folder' })
      if (listed.length > most)
        throw new S3Error('too-large', `${folder}/: expected at most ${most} objects, found more`)
      if (next === undefined) return listed.sort((a, b) => (a.name < b.name ? -1 : 1))
      // A store that repeats a page would never end.
      if (next === token || names.length + folders.length === 0)
        throw new S3Error('malformed', 's3: listing: expected another page, found the same')
      token = next
    }
  }

  async #page(folder: string, prefix: string, token: string | undefined): Promise<ListingPage> {
    const query: Record<string, string> = {
      'list-type': '2',
      'encoding-type': 'url',
      delimiter: '/',
      prefix,
      ...(token === undefined ? {} : { 'continuation-token': token }),
    }
    const answer = await this.#requests.send({ method: 'GET', key: '', query, most: MAX_LISTING_BYTES })
    if (answer.status === 404) this.#missing(this.placeOf(folder), answer)
    if (answer.status !== 200) throw this.#unexpected('GET', `${folder}/`, answer)
    return parseListing(Buffer.from(answer.body).toString('utf8'))
  }

  async #holds(name: string, bytes: Uint8Array): Promise<boolean> {
    const found = await this.read(name, bytes.length).catch(ignoreLarger)
    return found !== undefined && Buffer.compare(found.bytes, bytes) === 0
  }

  #put(name: string, body: Uint8Array, headers: Record<string, string>): Promise<S3Answer> {
    return this.#requests.send({ method: 'PUT', key: this.#key(name), headers, body, most: MAX_ANSWER_BYTES })
  }

  #key(name: string): string {
    const { prefix } = this.#place
    return prefix === '' ? name : `${prefix}/${name}`
  }

  /** @throws S3Error `refused` if the answer says that there is no bucket */
  #missing(name: string, answer: S3Answer): void {
    if (answer.code !== 'NoSuchBucket') return
    throw new S3Error('refused', `${name}: there is no bucket ${this.#place.bucket}`, 404)
  }

  #unexpected(method: string, name: string, { status }: S3Answer): S3Error {
    const expected = method === 'PUT' ? '200 or 412' : '200 with an ETag, or 404 with NoSuchKey'
    return new S3Error('malformed', `${method} ${name}: expected status ${expected}, found ${status}`, status)
  }
}

function within(prefix: string, name: string): string {
  if (name.startsWith(prefix)) return name.slice(prefix.length)
  throw new S3Error('malformed', `s3: listing: expected names that begin with ${prefix}`)
}

function ignoreLarger(error: unknown): undefined {
  if (error instanceof S3Error && error.code === 'too-large') return undefined
  throw error
}
