/**
 * The channel to a child process: a line of JSON a message, over the descriptor that Node.js in the child has its own channel on
 * (`NODE_CHANNEL_FD`; child_process, "serialization"). Node's own end of it is for children that are trusted: a line that is no JSON, or
 * is one of Node's own messages, ends the process that reads it, and a line without an end is kept for as long as it grows.
 */
import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'

/** UTF-16 units of a line. What children say here is far shorter. */
const LONGEST_LINE = 4096

export interface Channel {
  /** `undefined` stands for what is no message; it is the last one. */
  on(event: 'message', take: (message: unknown) => void): unknown
  readonly connected: boolean
  send(message: unknown): unknown
}

export class ChildChannel extends EventEmitter<{ message: [unknown] }> implements Channel {
  readonly #stream: Duplex
  readonly #decoder = new StringDecoder('utf8')
  /** The beginning of a line. */
  #rest = ''

  constructor(stream: Duplex) {
    super()
    this.#stream = stream
    stream.on('data', (chunk: Buffer) => this.#take(this.#decoder.write(chunk)))
    // Who asks and does not listen is not listened to.
    stream.on('drain', () => stream.resume())
    // The child is gone, or has closed it.
    stream.on('error', () => stream.destroy())
  }

  get connected(): boolean {
    return this.#stream.writable
  }

  send(message: unknown): void {
    if (this.connected && !this.#stream.write(`${JSON.stringify(message)}\n`)) this.#stream.pause()
  }

  /** Nothing more is taken or said. */
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
