/**
 * The channel to a child process: one line of JSON per message, over the descriptor that Node.js in the child uses for its own
 * channel (`NODE_CHANNEL_FD`; see "Advanced serialization" in the documentation of child_process). Node's own parent end trusts the
 * child: a line of invalid JSON, or one of Node's internal messages, crashes the parent, and an unterminated line is buffered
 * without limit.
 */
import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'

/** The maximum length of a line in UTF-16 units. Valid messages of children are far shorter. */
const LONGEST_LINE = 4096

export interface Channel {
  /** Calls `take` for each message. The first invalid message ends the channel: `take` then gets `undefined`, in its last call. */
  on(event: 'message', take: (message: unknown) => void): unknown
  readonly connected: boolean
  send(message: unknown): unknown
}

export class ChildChannel extends EventEmitter<{ message: [unknown] }> implements Channel {
  readonly #stream: Duplex
  readonly #decoder = new StringDecoder('utf8')
  /** The line received so far. */
  #rest = ''

  constructor(stream: Duplex) {
    super()
    this.#stream = stream
    stream.on('data', (chunk: Buffer) => this.#take(this.#decoder.write(chunk)))
    // Stop reading requests while the child does not read the replies.
    stream.on('drain', () => stream.resume())
    // The child has ended or closed the channel.
    stream.on('error', () => stream.destroy())
  }

  get connected(): boolean {
    return this.#stream.writable
  }

  send(message: unknown): void {
    if (this.connected && !this.#stream.write(`${JSON.stringify(message)}\n`)) this.#stream.pause()
  }

  /** Closes the channel in both directions. */
  close(): void {
    this.#stream.destroy()
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#tell(messageIn(line))
    if (this.#rest.length > LONGEST_LINE) this.#tell(undefined)
  }

  #tell(message: unknown): void {
    if (this.#stream.destroyed) return
    if (message === undefined) this.close()
    this.emit('message', message)
  }
}

function messageIn(line: string): unknown {
  if (line.length > LONGEST_LINE) return undefined
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
