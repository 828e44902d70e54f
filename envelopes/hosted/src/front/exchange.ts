/** One request at a tenant's process, and its answer to the client: both pass piece by piece, as fast as they are taken. */
import { hasCode } from '@service-fs/http/errors'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
import { answerFields } from './fields.ts'

/**
 * What became of it. `unsent`: no byte of the request has left, so it may be tried again. `lost`: it may have arrived. `malformed`: undici
 * takes it for no request.
 */
export type Outcome = 'answered' | 'unsent' | 'lost' | 'client-gone' | 'refused' | 'malformed'

export interface ExchangeHooks {
  /** The request is about to leave. */
  sending(): void
  /** The answer is one without an end. False: there is no room for it, and nothing of it is passed on. */
  streams(): boolean
}

/** How long a client whose body is not wanted may go on sending it, so that it finds the answer before the connection closes. */
const LINGER_MS = 1000

export class Exchange implements Dispatcher.DispatchHandler {
  readonly outcome: Promise<Outcome>
  readonly #raw: IncomingMessage
  readonly #out: ServerResponse
  readonly #hooks: ExchangeHooks
  #resolve!: (outcome: Outcome) => void
  #controller: Dispatcher.DispatchController | undefined
  #isStream = false
  /** Why it was ended from this side. */
  #ended: Outcome | undefined

  constructor(raw: IncomingMessage, out: ServerResponse, hooks: ExchangeHooks) {
    this.#raw = raw
    this.#out = out
    this.#hooks = hooks
    this.outcome = new Promise((resolve) => (this.#resolve = resolve))
    out.once('close', this.#onClose)
    out.on('drain', this.#onDrain)
  }

  /** Ends an answer that has no end by itself: what was passed on is whole. */
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
    // What goes on for hours is not waited behind: the connection ends with it.
    if (!this.#raw.complete || this.#isStream) this.#out.shouldKeepAlive = false
    this.#out.writeHead(status, answerFields(textsOf(controller.rawHeaders)))
    // Its first event may be long in coming.
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
    else this.#settle(hasCode(error, 'UND_ERR_INVALID_ARG') ? 'malformed' : 'unsent')
  }

  #onDrain = (): void => {
    this.#controller?.resume()
  }

  #onClose = (): void => {
    if (!this.#out.writableFinished) this.#stop('client-gone')
  }

  #stop(outcome: Outcome): void {
    this.#ended ??= outcome
    this.#controller?.abort(new Error('not wanted any more'))
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
