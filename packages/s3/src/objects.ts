/** The objects below the prefix of a place: ones that are written once, and ones that a single writer replaces. */
import { S3Error } from './errors.ts'
import { parseListing } from './listing.ts'
import type { S3Place } from './place.ts'
import { Requests, type RequestOptions, type S3Answer } from './requests.ts'

export interface StoredObject {
  bytes: Uint8Array
  /** Names this version of the object in `replace`. */
  etag: string
}

const MAX_LISTING_BYTES = 1 << 22
const MAX_ANSWER_BYTES = 1 << 16
const DAY = 86_400_000

export class S3Objects {
  readonly #place: S3Place
  readonly #requests: Requests

  constructor(place: S3Place, options: RequestOptions) {
    this.#place = place
    this.#requests = new Requests(place, options)
  }

  /** Reads an object of at most `most` bytes. Resolves to undefined when there is none. @throws S3Error */
  async read(name: string, most: number): Promise<StoredObject | undefined> {
    const answer = await this.#requests.send({ method: 'GET', key: this.#key(name), most })
    // A bucket that is missing has this status, too: it must not look like an empty one.
    if (answer.status === 404) return this.#missing(name, answer)
    if (answer.status !== 200 || answer.etag === undefined) throw this.#unexpected('GET', name, answer)
    return { bytes: answer.body, etag: answer.etag }
  }

  /**
   * Stores an object that is never replaced, under the place's lock. Succeeds if the store already has the same bytes.
   * @throws S3Error `conflict` if it has other bytes
   */
  async create(name: string, bytes: Uint8Array): Promise<void> {
    const headers = { 'if-none-match': '*', ...this.#lockHeaders() }
    const answer = await this.#put(name, bytes, headers)
    if (answer.status === 200) return
    if (answer.status !== 412) throw this.#unexpected('PUT', name, answer)
    if (!(await this.#holds(name, bytes)))
      throw new S3Error('conflict', `${name}: expected the same bytes in the store, found others`)
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
    // An attempt without a clear answer may have stored these bytes.
    const found = answer.unclear > 0 ? await this.read(name, bytes.length).catch(ignoreLarger) : undefined
    if (found !== undefined && Buffer.compare(found.bytes, bytes) === 0) return found.etag
    if (answer.status === 412 || answer.status === 404)
      throw new S3Error('changed', `${name}: another writer changed it in the store`, answer.status)
    throw this.#unexpected('PUT', name, answer)
  }

  /** Lists the names below a folder, in order; at most `most` names. A listing shows what there was, never that there is no more. */
  async list(folder: string, most: number): Promise<string[]> {
    const prefix = this.#key(folder === '' ? '' : `${folder}/`)
    const names: string[] = []
    for (let token: string | undefined; ;) {
      const query: Record<string, string> = { 'list-type': '2', 'encoding-type': 'url', prefix }
      if (token !== undefined) query['continuation-token'] = token
      const answer = await this.#requests.send({ method: 'GET', key: '', query, most: MAX_LISTING_BYTES })
      if (answer.status !== 200) throw this.#unexpected('GET', `${folder}/`, answer)
      const page = parseListing(Buffer.from(answer.body).toString('utf8'))
      for (const name of page.names) {
        if (!name.startsWith(prefix))
          throw new S3Error('malformed', `s3: listing: expected names that begin with ${prefix}`)
        names.push(name.slice(prefix.length))
      }
      if (names.length > most)
        throw new S3Error('too-large', `${folder}/: expected at most ${most} objects, found more`)
      // A store that repeats a page would never end.
      if (page.next === undefined) return names.sort((a, b) => (a < b ? -1 : 1))
      if (page.next === token || page.names.length === 0)
        throw new S3Error('malformed', 's3: listing: expected another page, found the same')
      token = page.next
    }
  }

  async #holds(name: string, bytes: Uint8Array): Promise<boolean> {
    const found = await this.read(name, bytes.length).catch(ignoreLarger)
    return found !== undefined && Buffer.compare(found.bytes, bytes) === 0
  }

  #put(name: string, body: Uint8Array, headers: Record<string, string>): Promise<S3Answer> {
    return this.#requests.send({ method: 'PUT', key: this.#key(name), headers, body, most: MAX_ANSWER_BYTES })
  }

  #lockHeaders(): Record<string, string> {
    const { lock } = this.#place
    if (lock === undefined) return {}
    const until = new Date(Date.now() + lock.days * DAY).toISOString()
    return { 'x-amz-object-lock-mode': lock.mode, 'x-amz-object-lock-retain-until-date': until }
  }

  #key(name: string): string {
    const { prefix } = this.#place
    return prefix === '' ? name : `${prefix}/${name}`
  }

  #missing(name: string, { body }: S3Answer): undefined {
    if (!Buffer.from(body).includes('NoSuchBucket')) return undefined
    throw new S3Error('refused', `${name}: there is no bucket ${this.#place.bucket}`, 404)
  }

  #unexpected(method: string, name: string, { status }: S3Answer): S3Error {
    const expected = method === 'PUT' ? '200 or 412' : '200 with an ETag, or 404'
    return new S3Error('malformed', `${method} ${name}: expected status ${expected}, found ${status}`, status)
  }
}

function ignoreLarger(error: unknown): undefined {
  if (error instanceof S3Error && error.code === 'too-large') return undefined
  throw error
}
