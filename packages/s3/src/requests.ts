/** Signs requests to a bucket, sends them, and repeats them while the store is busy or cannot be reached. */
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { AwsV4Signer } from 'aws4fetch'
import { codeOf } from '@service-fs/format/errors'
import type { Credentials } from './credentials.ts'
import { S3Error } from './errors.ts'
import { hintOf } from './hints.ts'
import type { S3Place } from './place.ts'

export interface RequestOptions {
  /** Returns the credentials for the next request. Temporary ones change. */
  credentials: () => Promise<Credentials>
  /** The milliseconds for one attempt, from its start to the end of the answer; default 120,000: a bundle at 200 kB/s. */
  limit?: number
  /** The number of attempts; default 6. */
  attempts?: number
  /** The longest pause before the second attempt, in milliseconds; it doubles with each attempt, to at most 20 s; default 250. */
  pause?: number
}

/** The most bytes of an answer that is a short document, or empty. */
export const MAX_ANSWER_BYTES: number = 1 << 16

export interface S3Request {
  method: 'GET' | 'HEAD' | 'PUT' | 'DELETE'
  /** The name of the object in the bucket; empty for the bucket itself. */
  key: string
  query?: Readonly<Record<string, string>>
  headers?: Readonly<Record<string, string>>
  body?: Uint8Array
  /** The most bytes that the body of an answer may have. */
  most: number
}

export interface S3Answer {
  status: number
  etag: string | undefined
  /** The code in an error document; undefined if there is none. */
  code: string | undefined
  body: Uint8Array
  /** How many attempts got no clear answer before this one: the store may have done what one of them asked. */
  unclear: number
}

/** The answers that the caller interprets. 412: a condition does not hold. */
const EXPECTED = new Set([200, 204, 404, 412])
const LONGEST_PAUSE = 20_000

/** An attempt that another one may succeed after. */
class Passing extends Error {}

export class Requests {
  readonly #place: S3Place
  readonly #options: RequestOptions

  constructor(place: S3Place, options: RequestOptions) {
    this.#place = place
    this.#options = options
  }

  /** Resolves to an answer with status 200, 204, 404 or 412. @throws S3Error `refused`, `connection`, `malformed`, `too-large` */
  async send(request: S3Request): Promise<S3Answer> {
    const { attempts = 6, pause = 250 } = this.#options
    for (let unclear = 0; ; unclear++) {
      try {
        return { ...(await this.#attempt(request)), unclear }
      } catch (error) {
        if (!(error instanceof Passing)) throw error
        if (unclear + 1 >= attempts)
          throw new S3Error('connection', `${this.#name(request)}: ${error.message}, in ${attempts} attempts`)
      }
      // Clients that failed at the same time must not all return at the same time.
      await sleep(Math.random() * Math.min(pause * 2 ** unclear, LONGEST_PAUSE))
    }
  }

  async #attempt(request: S3Request): Promise<Omit<S3Answer, 'unclear'>> {
    const { limit = 120_000 } = this.#options
    const { url, method, headers } = await this.#signed(request)
    // Signatures do not cover this header: a proxy may change it.
    headers.set('accept-encoding', 'identity')
    const signal = AbortSignal.timeout(limit)
    try {
      // A redirect would send the signature somewhere else.
      const options = { method, headers, body: request.body ?? null, signal, redirect: 'manual' } as const
      const response = await fetch(url, options)
      const { status } = response
      const isExpected = EXPECTED.has(status)
      const most = status === 200 ? request.most : MAX_ANSWER_BYTES
      // The answer to HEAD states the length of a body that does not follow.
      const body = method === 'HEAD' ? new Uint8Array() : await this.#body(request, response, most)
      const code = status === 200 ? undefined : errorCode(body)
      // Some stores answer 404 also when they do not know the access key.
      const isOther = status === 404 && !/^(?:NoSuch|$)|NotFound/.test(code ?? '')
      if (!isExpected || isOther) throw this.#failure(request, status, code)
      return { status, etag: response.headers.get('etag') ?? undefined, code, body }
    } catch (error) {
      if (error instanceof S3Error || error instanceof Passing) throw error
      throw new Passing(signal.aborted ? `no whole answer within ${limit / 1000} s` : reasonOf(error))
    }
  }

  async #signed({ method, key, query, headers, body }: S3Request): Promise<{
    url: URL
    method: string
    headers: Headers
  }> {
    const url = new URL(this.#place.url + key)
    for (const [name, value] of Object.entries(query ?? {})) url.searchParams.set(name, value)
    const hash = createHash('sha256')
      .update(body ?? '')
      .digest()
    const sums: Record<string, string> = { 'x-amz-content-sha256': hash.toString('hex') }
    // The store keeps this sum with the object. AWS requires one for an object with a lock.
    if (method === 'PUT') sums['x-amz-checksum-sha256'] = hash.toString('base64')
    const signer = new AwsV4Signer({
      ...(await this.#options.credentials()),
      method,
      url: url.href,
      headers: { ...headers, ...sums },
      service: 's3',
      region: this.#place.region,
    })
    return signer.sign()
  }

  /** Reads a body of at most `most` bytes, which must have the length that the head states. */
  async #body(request: S3Request, response: Response, most: number): Promise<Uint8Array> {
    const stated = response.headers.get('content-length')
    if (stated !== null && Number(stated) > most) {
      await response.body?.cancel()
      throw this.#tooLarge(request, most)
    }
    const chunks: Uint8Array[] = []
    let length = 0
    for await (const chunk of response.body ?? []) {
      length += chunk.length
      // Leaving the loop cancels the body.
      if (length > most) throw this.#tooLarge(request, most)
      chunks.push(chunk)
    }
    if (stated !== null && Number(stated) !== length)
      throw new Passing(`expected ${Number(stated)} bytes, found ${length}`)
    return Buffer.concat(chunks)
  }

  #tooLarge(request: S3Request, most: number): S3Error {
    return new S3Error('too-large', `${this.#name(request)}: expected at most ${most} bytes, found more`)
  }

  #failure(request: S3Request, status: number, code: string | undefined): Error {
    const text = `status ${status}${code === undefined ? '' : `, ${code}`}${hintOf(status, code)}`
    // 409: another conditional write of the object is going on. Some stores answer a request that came slowly by 400.
    const isPassing = status >= 500 || status === 429 || status === 408
    const isConflict = status === 409 && code === 'ConditionalRequestConflict'
    if (isPassing || isConflict || code === 'RequestTimeout' || code === 'SlowDown') return new Passing(text)
    return new S3Error('refused', `${this.#name(request)}: the store refused it: ${text}`, status, code)
  }

  #name({ method, key }: S3Request): string {
    return `${method} s3://${this.#place.bucket}/${key}`
  }
}

/** Returns the code in an error document, and nothing else of it. */
function errorCode(body: Uint8Array): string | undefined {
  return /<Code>([A-Za-z0-9.]{1,64})<\/Code>/.exec(Buffer.from(body).toString('latin1'))?.[1]
}

/** Returns the reason of a failed fetch. Its message may have the URL in it, and is never needed. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined
  return `no whole answer (${codeOf(cause) ?? codeOf(error) ?? 'the connection failed'})`
}
