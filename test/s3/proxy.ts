// A server between a client and the store.
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { listen } from '../support/process.ts'

/** Passes requests on to the store. */
export abstract class Proxy {
  url = ''
  readonly #target: string
  readonly #server = createServer((raw, out) => void this.handle(raw, out))

  constructor(target: string) {
    this.#target = target
  }

  async listen(): Promise<void> {
    this.url = `http://127.0.0.1:${await listen(this.#server)}`
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  protected abstract handle(raw: IncomingMessage, out: ServerResponse): unknown

  /** Passes a request on. `answered` returns false for an answer that the client does not get. Resolves when the client has the answer. */
  protected async pass(
    raw: IncomingMessage,
    out: ServerResponse,
    answered: () => boolean = () => true,
  ): Promise<void> {
    const { method, headers } = raw
    // The signature covers the host of the request, which stays that of this server.
    const sent = request(new URL(raw.url ?? '', this.#target), { method, headers })
    const answer = new Promise<IncomingMessage>((resolve, reject) =>
      sent.on('response', resolve).on('error', reject),
    )
    // A store may answer before it has read all of a request.
    pipeline(raw, sent).catch(() => undefined)
    try {
      const got = await answer
      if (!answered()) {
        got.resume()
        return
      }
      out.writeHead(got.statusCode ?? 500, got.headers)
      await pipeline(got, out)
    } catch {
      // The client may have been killed meanwhile, or the store.
      out.destroy()
    }
  }
}

/** Withholds the last requests of a round: the store does not get them, or their answers are lost. */
export class Cutting extends Proxy {
  #left = Infinity
  #isStored = false
  #reached: () => void = () => undefined

  /** Resolves when the request after the next `count` ones has arrived; with `isStored`, when the store has answered it. */
  cutAfter(count: number, isStored: boolean): Promise<void> {
    this.#left = count
    this.#isStored = isStored
    return new Promise((resolve) => (this.#reached = resolve))
  }

  protected handle(raw: IncomingMessage, out: ServerResponse): unknown {
    if (this.#left-- > 0) return this.pass(raw, out)
    if (!this.#isStored) return this.#reached()
    return this.pass(raw, out, () => {
      this.#reached()
      return false
    })
  }
}

/** Passes one request on at a time: versitygw checks the condition of a PUT and stores the object in two steps. */
export class OneAtATime extends Proxy {
  #last: Promise<void> = Promise.resolve()

  protected handle(raw: IncomingMessage, out: ServerResponse): unknown {
    this.#last = this.#last.then(() => this.pass(raw, out))
    return this.#last
  }
}
