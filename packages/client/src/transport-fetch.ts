/** The transport of a browser, or of any other runtime with the Fetch Standard. */
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'
import { readAll, type Incoming, type Outgoing, type Transport, type TransportOptions } from './transport.ts'

/** The number of milliseconds to wait for a response's head or for more of its body; undici uses the same number. */
const SILENCE = 300_000

/** An error of fetch or of a body. The Fetch Standard throws a TypeError, whose message differs by browser. */
class FetchFailure extends Error {}

/**
 * Opens a transport to an origin by `fetch`, which keeps connections open and decompresses by itself.
 * @throws ClientError `usage` when certificates are given
 */
export function openTransport(origin: string, { tls }: TransportOptions): Transport {
  if (Object.values(tls ?? {}).some((text) => text !== undefined))
    throw new ClientError('usage', 'tls: expected none, because the browser has its own certificates')
  const open = new Set<Attempt>()
  return {
    send: (path, request) => new Attempt(open).send(origin + path, request),
    failureOf: (error) =>
      error instanceof FetchFailure ? { text: messageOf(error), mayPass: true } : undefined,
    close() {
      for (const attempt of open) attempt.abort(new ClientError('connection', 'the connection was closed'))
      return Promise.resolve()
    },
  }
}

/** One request, from its start to the end of its response's body. */
class Attempt {
  readonly #open: Set<Attempt>
  readonly #controller = new AbortController()
  /** The reason why the request was aborted. */
  #why: Error | undefined

  constructor(open: Set<Attempt>) {
    this.#open = open
    open.add(this)
  }

  abort(why: Error): void {
    this.#why = why
    this.#controller.abort()
  }

  async send(url: string, { method, headers, body, silence = SILENCE }: Outgoing): Promise<Incoming> {
    const { signal } = this.#controller
    // A ledger sends no redirects. With `manual`, a redirect is an error response instead of a request to another place.
    const options = { method, headers, body: body ?? null, signal, redirect: 'manual' } as const
    const response = await this.#within(SILENCE, fetch(url, options))
    const chunks = this.#chunks(response, silence)
    return {
      status: response.status,
      header: (name) => response.headers.get(name) ?? undefined,
      whole: (limit) => readAll(chunks, limit),
      chunks,
    }
  }

  async *#chunks({ body }: Response, silence: number): AsyncGenerator<Uint8Array> {
    const reader = body?.getReader()
    try {
      for (;;) {
        const step = reader && (await this.#within(silence, reader.read()))
        if (step === undefined || step.done) return
        yield step.value
      }
    } finally {
      this.#open.delete(this)
      // Close the connection when the caller stops reading.
      await reader?.cancel().catch(() => undefined)
    }
  }

  /** Awaits a step for at most `silence` milliseconds. @throws FetchFailure, or the error of `abort` */
  async #within<T>(silence: number, step: Promise<T>): Promise<T> {
    const late = (): void => this.abort(new FetchFailure(`nothing came for ${silence} ms`))
    const timer = setTimeout(late, silence)
    try {
      return await step
    } catch (error) {
      this.#open.delete(this)
      const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
      throw this.#why ?? new FetchFailure(messageOf(cause))
    } finally {
      clearTimeout(timer)
    }
  }
}
