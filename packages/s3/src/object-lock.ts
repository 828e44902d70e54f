/** Object Lock: for how long a store refuses to delete a version of an object, even to the owner of the bucket. */
import { S3Error } from './errors.ts'
import type { Requests, S3Answer } from './requests.ts'

/** In `GOVERNANCE` mode, users with a permission of their own can shorten a lock; in `COMPLIANCE` mode, nobody can. */
export type LockMode = 'COMPLIANCE' | 'GOVERNANCE'

export interface ObjectLock {
  mode: LockMode
  /** The days from the time at which an object is stored. */
  days: number
}

interface Retention {
  mode: LockMode
  /** Milliseconds since 1970. */
  until: number
}

/** A century. */
export const MAX_LOCK_DAYS = 36_525
const DAY = 86_400_000
const MAX_ANSWER_BYTES = 1 << 16

export class ObjectLocks {
  readonly #requests: Requests
  readonly #lock: ObjectLock
  readonly #bucket: string
  #isProven = false

  constructor(requests: Requests, bucket: string, lock: ObjectLock) {
    this.#requests = requests
    this.#bucket = bucket
    this.#lock = lock
  }

  /** The headers that store an object with the lock. */
  headers(): Record<string, string> {
    const { mode } = this.#lock
    return {
      'x-amz-object-lock-mode': mode,
      'x-amz-object-lock-retain-until-date': new Date(this.#wanted()).toISOString(),
    }
  }

  /** Checks that the bucket can lock objects. @throws S3Error `refused` */
  async checkBucket(): Promise<void> {
    const request = { method: 'GET', key: '', query: { 'object-lock': '' }, most: MAX_ANSWER_BYTES } as const
    const { status, body } = await this.#requests.send(request)
    const text = Buffer.from(body).toString('latin1')
    if (text.includes('NoSuchBucket')) throw new S3Error('refused', `there is no bucket ${this.#bucket}`, 404)
    if (status === 200 && /<ObjectLockEnabled>Enabled<\/ObjectLockEnabled>/.test(text)) return
    throw new S3Error('refused', `${this.#bucket}: expected a bucket with Object Lock, found one without`)
  }

  /** Checks that an object has a lock, however long. @throws S3Error `refused` */
  async check(key: string): Promise<void> {
    if ((await this.#retention(key)) === undefined)
      throw new S3Error('refused', `${key}: expected an object with a lock, found one without`)
  }

  /** Checks once that the store reports the lock of an object that was stored with it. @throws S3Error `refused` */
  async prove(key: string): Promise<void> {
    if (this.#isProven) return
    await this.check(key)
    this.#isProven = true
  }

  /** Locks an object that was stored earlier, or extends its lock if it ends more than a day too early. Never shortens a lock. */
  async renew(key: string): Promise<void> {
    const found = await this.#retention(key)
    // COMPLIANCE is stronger than GOVERNANCE.
    const mode = found?.mode === 'COMPLIANCE' ? found.mode : this.#lock.mode
    const until = Math.max(this.#wanted(), found?.until ?? 0)
    if (found?.mode === mode && found.until > until - DAY) return
    const text = retentionText(mode, until)
    const request = { method: 'PUT', key, query: { retention: '' }, most: MAX_ANSWER_BYTES } as const
    const { status } = await this.#requests.send({ ...request, body: Buffer.from(text) })
    if (status !== 200)
      throw new S3Error('malformed', `PUT ${key}?retention: expected status 200, found ${status}`, status)
  }

  #wanted(): number {
    return Date.now() + this.#lock.days * DAY
  }

  async #retention(key: string): Promise<Retention | undefined> {
    const request = { method: 'GET', key, query: { retention: '' }, most: MAX_ANSWER_BYTES } as const
    const { status, body } = await this.#requests.send(request).catch(withoutLock)
    if (status === 404) return undefined
    const found = status === 200 ? parseRetention(Buffer.from(body).toString('latin1')) : undefined
    if (found === undefined)
      throw new S3Error('malformed', `GET ${key}?retention: expected a mode and a date, found something else`)
    return found
  }
}

/** Some stores answer 400 for an object without a lock, and not 404 as AWS does. */
function withoutLock(error: unknown): Pick<S3Answer, 'status' | 'body'> {
  const isAbsent = error instanceof S3Error && error.storeCode === 'NoSuchObjectLockConfiguration'
  if (isAbsent) return { status: 404, body: new Uint8Array() }
  throw error
}

function parseRetention(xml: string): Retention | undefined {
  const mode = /<Mode>([A-Z]{1,20})<\/Mode>/.exec(xml)?.[1]
  const until = Date.parse(/<RetainUntilDate>([^<]{1,40})<\/RetainUntilDate>/.exec(xml)?.[1] ?? '')
  const isKnown = mode === 'COMPLIANCE' || mode === 'GOVERNANCE'
  return isKnown && !Number.isNaN(until) ? { mode, until } : undefined
}

function retentionText(mode: LockMode, until: number): string {
  const date = new Date(until).toISOString()
  return `<Retention xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Mode>${mode}</Mode><RetainUntilDate>${date}</RetainUntilDate></Retention>`
}
