/** Exchanges one request with a tenant's process, and streams the response to the client with backpressure. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
import { codeOf } from '@service-fs/format/errors'
import { answerFields } from './fields.ts'

/**
 * How an exchange ended. `unsent`: no byte of the request was sent, so a retry is safe. `lost`: the process may have
 * received the request. `malformed`: undici rejected the request.
 */
export type Outcome = 'answered' | 'unsent' | 'lost' | 'client-gone' | 'refused' | 'malformed'

export interface ExchangeHooks {
  /** Called before the request is sent. */
  sending(): void
  /** Called when the response is an event stream. If it returns false, the exchange does not forward the stream. */
  streams(): boolean
}

/** How long to keep reading an unneeded body, so that the client reads the response before the connection closes. */
const LINGER_MS = 1000

export class Exchange implements Dispatcher.DispatchHandler {
  readonly outcome: Promise<Outcome>
  readonly #raw: IncomingMessage
  readonly #out: ServerResponse
  readonly #hooks: ExchangeHooks
  #resolve!: (outcome: Outcome) => void
  #controller: Dispatcher.DispatchController | undefined
  #isStream = false
  /** The reason why the front ended the exchange. */
  #ended: Outcome | undefined

  constructor(raw: IncomingMessage, out: ServerResponse, hooks: ExchangeHooks) {
    this.#raw = raw
    this.#out = out
    this.#hooks = hooks
    this.outcome = new Promise((resolve) => (this.#resolve = resolve))
    out.once('close', this.#onClose)
    out.on('drain', this.#onDrain)
  }

  /** Ends an event stream; the client sees a complete response. */
  endStream(): void {
    if (this.#isStream) this.#stop('answered')
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#out.destroyed) this.#stop('client-gone')
    else this.#hooks.sending()
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, unknown>,
  ): void {
    if (status < 200 || this.#ended !== undefined) return
    this.#isStream = String(headers['content-type']).startsWith('text/event-stream')
    if (this.#isStream && !this.#hooks.streams()) {
      this.#stop('refused')
      return
    }
    // A stream may last for hours. Close the connection after it, so that no request waits behind it.
    if (!this.#raw.complete || this.#isStream) this.#out.shouldKeepAlive = false
    this.#out.writeHead(status, answerFields(textsOf(controller.rawHeaders)))
    // Send the headers now, because the first event may come much later.
    if (this.#isStream) this.#out.flushHeaders()
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#ended === undefined && !this.#out.write(chunk)) controller.pause()
  }

  onResponseEnd(): void {
    if (this.#ended !== undefined) return
    endAnswer(this.#raw, this.#out)
    this.#settle('answered')
  }

  onResponseError(_: unknown, error: Error): void {
    if (this.#ended !== undefined) this.#settle(this.#ended)
    else if (this.#controller !== undefined) this.#settle('lost')
    else this.#settle(codeOf(error) === 'UND_ERR_INVALID_ARG' ? 'malformed' : 'unsent')
  }

  #onDrain = (): void => {
    this.#controller?.resume()
  }

  #onClose = (): void => {
    if (!this.#out.writableFinished) this.#stop('client-gone')
  }

  #stop(outcome: Outcome): void {
    this.#ended ??= outcome
    this.#controller?.abort(new Error('the front ended the exchange'))
    if (outcome === 'answered') this.#out.end()
    this.#settle(outcome)
  }

  #settle(outcome: Outcome): void {
    this.#out.off('close', this.#onClose)
    this.#out.off('drain', this.#onDrain)
    this.#resolve(outcome)
  }
}

function endAnswer(raw: IncomingMessage, out: ServerResponse): void {
  if (raw.complete || raw.method !== 'POST') {
    out.end()
    return
  }
  const timer = setTimeout(() => out.end(), LINGER_MS)
  raw.once('close', () => clearTimeout(timer))
  raw.once('end', () => {
    clearTimeout(timer)
    out.end()
  })
  raw.resume()
}

function textsOf(raw: Dispatcher.DispatchController['rawHeaders']): string[] {
  if (!Array.isArray(raw)) return []
  return raw.map((part) => (typeof part === 'string' ? part : part.toString('latin1')))
}
