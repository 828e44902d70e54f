// A client that sends arbitrary bytes over its own connection.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { sleep } from '../support/process.ts'

export class RawClient {
  readonly socket: Socket
  /** The bytes received, one character per byte; `keep: false` only counts them. */
  text = ''
  bytes = 0
  isClosed = false

  constructor(port: number, keep = true) {
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    // After a reset, the bytes received before it are the answer.
    this.socket.on('error', () => undefined)
    this.socket.on('close', () => (this.isClosed = true))
    this.socket.on('end', () => this.socket.end())
    this.socket.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length
      if (keep) this.text += chunk.toString('latin1')
    })
  }

  async connected(): Promise<this> {
    if (this.socket.connecting) await once(this.socket, 'connect')
    return this
  }

  /** Resolves when the kernel has the bytes, or the connection has closed. */
  send(bytes: string | Buffer): Promise<void> {
    return new Promise((resolve) => {
      if (this.socket.destroyed) resolve()
      else if (typeof bytes === 'string') this.socket.write(bytes, 'latin1', () => resolve())
      else this.socket.write(bytes, () => resolve())
    })
  }

  /** Resolves when the other side has closed the connection, with the milliseconds that took. */
  async closed(limit: number): Promise<number> {
    const started = performance.now()
    while (!this.isClosed && performance.now() - started < limit) await sleep(10)
    return performance.now() - started
  }

  get statuses(): number[] {
    return [...this.text.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status))
  }
}

/** Sends a text and collects the answer until the other side ends the connection, for at most the given milliseconds. */
export async function exchange(port: number, text: string, limit = 20_000): Promise<RawClient> {
  const client = await new RawClient(port).connected()
  await client.send(text)
  await client.closed(limit)
  client.socket.destroy()
  return client
}
