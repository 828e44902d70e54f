import type { StorageError } from '@service-fs/storage/errors'
import { RESPONSE } from '@service-fs/storage-psdb/message'
import type { PsdbPort } from '@service-fs/storage-psdb/port'

/** Receives the answers of a channel: a PsdbClient, or a bridge to one in another engine. */
export interface PsdbReceiver {
  received(message: Uint8Array): void
  failed(error: StorageError): void
}

const NOTHING = new Uint8Array()

/**
 * A tenant's port over pipes. There is no shared memory: the next message carries the bytes that were put, joined, and the bytes of an
 * answer are available only while it is being received. Bytes are not copied: the caller of put() must not change them before the
 * answer.
 */
export class PsdbChannel implements PsdbPort {
  readonly regionBytes: number
  readonly #send: (message: Uint8Array, data: Uint8Array) => void
  #receiver: PsdbReceiver | undefined
  /** The bytes for the next message, in pieces that follow each other. */
  #put: Uint8Array[] = []
  #got: { offset: number; data: Uint8Array } = { offset: 0, data: NOTHING }
  #failure: StorageError | undefined

  constructor(regionBytes: number, send: (message: Uint8Array, data: Uint8Array) => void) {
    this.regionBytes = regionBytes
    this.#send = send
  }

  /** Sets the receiver of the answers. If the process has ended, the receiver gets the failure at once. */
  listen(receiver: PsdbReceiver): void {
    this.#receiver = receiver
    if (this.#failure !== undefined) receiver.failed(this.#failure)
  }

  put(_offset: number, bytes: Uint8Array): void {
    this.#put.push(bytes)
  }

  get(offset: number, length: number): Uint8Array {
    const { data } = this.#got
    const from = offset - this.#got.offset
    if (from < 0 || from + length > data.length)
      throw new RangeError(`data region: no answer put ${length} bytes at ${offset}`)
    return length === data.length ? data : data.slice(from, from + length)
  }

  send(message: Uint8Array): void {
    const pieces = this.#put
    this.#put = []
    if (this.#failure === undefined)
      this.#send(message, pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces))
  }

  /** Passes on an answer, with the bytes that it put into the data region. */
  receive(message: Uint8Array, data: Uint8Array): void {
    const view = new DataView(message.buffer, message.byteOffset)
    this.#got = { offset: view.getUint32(RESPONSE.offset, true), data }
    this.#receiver?.received(message)
    this.#got = { offset: 0, data: NOTHING }
  }

  /** Fails the requests under way, because the process has ended. */
  fail(error: StorageError): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    this.#receiver?.failed(error)
  }
}
