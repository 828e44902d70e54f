/**
 * The frames on psdb-host's standard input and output: channel (u32), length of the data (u32), a message of 64 bytes, data. All
 * numbers are little-endian. The channel is HELLO, or the tenant's number in the order of the command line.
 */
import { MESSAGE_BYTES } from '@service-fs/storage-psdb/message'

export const HEAD_BYTES: number = 8 + MESSAGE_BYTES
/** The channel of the first frame from psdb-host. */
export const HELLO = 0xffffffff

/** Returns the head of a frame. `dataBytes` bytes of data follow it. */
export function frameHead(channel: number, message: Uint8Array, dataBytes: number): Uint8Array {
  const head = new Uint8Array(HEAD_BYTES)
  const view = new DataView(head.buffer)
  view.setUint32(0, channel, true)
  view.setUint32(4, dataBytes, true)
  head.set(message, 8)
  return head
}

/** Assembles frames from the chunks of a pipe. It copies everything that it passes on. */
export class FrameReader {
  readonly #onFrame: (channel: number, message: Uint8Array, data: Uint8Array) => void
  readonly #maxData: (channel: number) => number
  #head = new Uint8Array(HEAD_BYTES)
  #headBytes = 0
  #channel = 0
  #data = new Uint8Array()
  #dataBytes = 0

  /** `maxData` returns the most bytes of data in a frame of a channel, or a negative number for an unknown channel. */
  constructor(
    maxData: (channel: number) => number,
    onFrame: (channel: number, message: Uint8Array, data: Uint8Array) => void,
  ) {
    this.#maxData = maxData
    this.#onFrame = onFrame
  }

  /** Takes the next bytes. @throws RangeError if a head is malformed; the reader cannot be used after that */
  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) {
      const inHead = this.#headBytes < HEAD_BYTES
      const missing = inHead ? HEAD_BYTES - this.#headBytes : this.#data.length - this.#dataBytes
      const piece = chunk.subarray(at, at + missing)
      at += piece.length
      if (inHead) this.#pushHead(piece)
      else this.#pushData(piece)
      if (this.#headBytes === HEAD_BYTES && this.#dataBytes === this.#data.length) this.#end()
    }
  }

  #pushHead(piece: Uint8Array): void {
    this.#head.set(piece, this.#headBytes)
    this.#headBytes += piece.length
    if (this.#headBytes < HEAD_BYTES) return
    const view = new DataView(this.#head.buffer)
    const [channel, dataBytes] = [view.getUint32(0, true), view.getUint32(4, true)]
    const max = this.#maxData(channel)
    if (max < 0) throw new RangeError(`frame: unknown channel ${channel}`)
    if (dataBytes > max)
      throw new RangeError(
        `frame: channel ${channel}: expected at most ${max} bytes of data, found ${dataBytes}`,
      )
    this.#channel = channel
    this.#data = new Uint8Array(dataBytes)
    this.#dataBytes = 0
  }

  #pushData(piece: Uint8Array): void {
    this.#data.set(piece, this.#dataBytes)
    this.#dataBytes += piece.length
  }

  #end(): void {
    const message = this.#head.subarray(8)
    this.#head = new Uint8Array(HEAD_BYTES)
    this.#headBytes = 0
    this.#onFrame(this.#channel, message, this.#data)
  }
}
