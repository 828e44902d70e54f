/** Object Lock: for how long a store refuses to delete a version of an object, even to the owner of the bucket. */
import { S3Error } from './errors.ts'
import { MAX_ANSWER_BYTES, type Requests, type S3Answer } from './requests.ts'

/** In `GOVERNANCE` mode, users with a permission of their own can shorten a lock; in `COMPLIANCE` mode, nobody can. */
export type LockMode = 'COMPLIANCE' | 'GOVERNANCE'

export interface ObjectLock {
  mode: LockMode
  /** The days from the time at which an object is stored. */
  days: number
}

/** The least lock that an object is to have. */
export interface LongerLock {
  mode: LockMode
  /** The end of the lock that is set, in milliseconds since 1970. */
  until: number
  /** A lock that ends at this time or later is not extended. */
  enough: number
}

interface Retention {
  mode: LockMode
  /** Milliseconds since 1970. */
  until: number
}

/** A century. */
export const MAX_LOCK_DAYS = 36_525
const DAY = 86_400_000
const NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'

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
    if ((await lockModeOf(this.#requests, key)) === undefined)
      throw new S3Error('refused', `${key}: expected an object with a lock, found one without`)
  }

  /** Checks once that the store reports the lock of an object that was stored with it. @throws S3Error `refused` */
  async prove(key: string): Promise<void> {
    if (this.#isProven) return
    await this.check(key)
    this.#isProven = true
  }

  /** Locks an object that was stored earlier, or extends its lock if it ends more than a day too early. */
  async renew(key: string): Promise<void> {
    const until = this.#wanted()
    await extendRetention(this.#requests, key, { mode: this.#lock.mode, until, enough: until - DAY })
  }

  #wanted(): number {
    return Date.now() + this.#lock.days * DAY
  }
}

/** Returns the mode of the lock of an object; undefined when it has no lock. */
export async function lockModeOf(requests: Requests, key: string): Promise<LockMode | undefined> {
  return (await retentionOf(requests, key))?.mode
}

/** Locks an object, or extends its lock. Never shortens or weakens a lock. Reports whether it changed the lock. */
export async function extendRetention(
  requests: Requests,
  key: string,
  { mode, until, enough }: LongerLock,
): Promise<boolean> {
  const found = await retentionOf(requests, key)
  const isStronger = found?.mode === 'GOVERNANCE' && mode === 'COMPLIANCE'
  if (found !== undefined && found.until >= enough && !isStronger) return false
  // COMPLIANCE is stronger than GOVERNANCE.
  const kept = found?.mode === 'COMPLIANCE' ? found.mode : mode
  await put(requests, key, 'retention', retentionText(kept, Math.max(until, found?.until ?? 0)))
  return true
}

/** Puts or lifts the legal hold of an object, which keeps it whatever its lock says. Reports whether it changed the hold. */
export async function setHold(requests: Requests, key: string, isHeld: boolean): Promise<boolean> {
  const text = await lockDocument(requests, key, 'legal-hold')
  const status = text === undefined ? 'OFF' : /<Status>(ON|OFF)<\/Status>/.exec(text)?.[1]
  if (status === undefined)
    throw new S3Error('malformed', `GET ${key}?legal-hold: expected ON or OFF, found something else`)
  if (status === (isHeld ? 'ON' : 'OFF')) return false
  const xml = `<LegalHold ${NAMESPACE}><Status>${isHeld ? 'ON' : 'OFF'}</Status></LegalHold>`
  await put(requests, key, 'legal-hold', xml)
  return true
}

async function retentionOf(requests: Requests, key: string): Promise<Retention | undefined> {
  const text = await lockDocument(requests, key, 'retention')
  if (text === undefined) return undefined
  const found = parseRetention(text)
  if (found === undefined)
    throw new S3Error('malformed', `GET ${key}?retention: expected a mode and a date, found something else`)
  return found
}

/** Returns an XML document about an object; undefined when it has none. */
async function lockDocument(requests: Requests, key: string, kind: string): Promise<string | undefined> {
  const request = { method: 'GET', key, query: { [kind]: '' }, most: MAX_ANSWER_BYTES } as const
  const { status, body } = await requests.send(request).catch(withoutLock)
  const text = Buffer.from(body).toString('latin1')
  if (status === 200) return text
  if (status === 404 && /<Code>NoSuch(?:Key|Bucket)<\/Code>/.test(text))
    throw new S3Error('refused', `${key}: expected an object, found none`, status)
  if (status === 404) return undefined
  throw new S3Error('malformed', `GET ${key}?${kind}: expected status 200, found ${status}`, status)
}

async function put(requests: Requests, key: string, kind: string, text: string): Promise<void> {
  const request = { method: 'PUT', key, query: { [kind]: '' }, most: MAX_ANSWER_BYTES } as const
  const { status } = await requests.send({ ...request, body: Buffer.from(text) })
  if (status !== 200)
    throw new S3Error('malformed', `PUT ${key}?${kind}: expected status 200, found ${status}`, status)
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
  return `<Retention ${NAMESPACE}><Mode>${mode}</Mode><RetainUntilDate>${date}</RetainUntilDate></Retention>`
}
