/** Sends requests to PSDB, and resolves each with its response. One client serves all ledgers of a tenant. */
import { StorageError } from '@service-fs/storage/errors'
import {
  ANSWER,
  decodeResponse,
  encodeRequest,
  MAX_TIME,
  MESSAGE_BYTES,
  OPCODE,
  QUEUE,
  STATUS,
  type Opcode,
  type PsdbRequest,
  type PsdbResponse,
} from './message.ts'
import type { PsdbPort } from './port.ts'
import { RegionAllocator } from './region.ts'

/** A request and its bytes. The client chooses the id, the time and the place in the data region. */
export interface PsdbCall extends Omit<PsdbRequest, 'id' | 'time' | 'offset' | 'length'> {
  /** The bytes that SEAL, COMMIT or PUBLISH writes. They must not change before the response. */
  readonly bytes?: Uint8Array
  /** The most bytes that READ or TAIL may return. */
  readonly room?: number
}

/** A checked response and its bytes. */
export interface PsdbAnswer {
  /** One of STATUS. */
  readonly status: number
  /** For INVALID: the offset of the invalid field in the request. */
  readonly field: number
  readonly value: number
  readonly extra: number
  readonly index: number
  /** The bytes that READ or TAIL returned, at most `room`; a copy. */
  readonly bytes: Uint8Array
}

interface Waiting {
  readonly call: PsdbCall
  readonly length: number
  readonly resolve: (answer: PsdbAnswer) => void
  readonly reject: (error: StorageError) => void
}

interface UnderWay extends Waiting {
  readonly offset: number
}

const NOTHING = new Uint8Array()
const WRITES: ReadonlySet<Opcode> = new Set([OPCODE.SEAL, OPCODE.COMMIT, OPCODE.PUBLISH])

export class PsdbClient {
  readonly #port: PsdbPort
  readonly #now: () => number
  readonly #region: RegionAllocator
  /** The requests that wait for room, in the order of the calls. The first one delays the others, so that none starves. */
  readonly #waiting: Waiting[] = []
  readonly #underWay = new Map<number, UnderWay>()
  #nextId = 0
  #failure: StorageError | undefined
  #ignored = 0

  /** `now` returns milliseconds since the Unix epoch, for the headers of tar members. */
  constructor(port: PsdbPort, now: () => number) {
    this.#port = port
    this.#now = now
    this.#region = new RegionAllocator(port.regionBytes)
  }

  /** The number of messages that matched no request. */
  get ignored(): number {
    return this.#ignored
  }

  /** The most bytes that one request can carry. */
  get maxBytes(): number {
    return this.#region.bytes
  }

  /**
   * Sends a request; resolves with its response, also for an error status. Requests are sent in the order of the calls, at once
   * unless the queue or the region has no room. Rejects with StorageError `full` when the region is too small for the request, and
   * with the error of failed().
   */
  request(call: PsdbCall): Promise<PsdbAnswer> {
    const length = call.bytes?.length ?? call.room ?? 0
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure)
      if (length > this.maxBytes) {
        const found = `expected at most ${this.maxBytes} bytes, found ${length}`
        return reject(new StorageError('full', `data region: ${found}`))
      }
      this.#waiting.push({ call, length, resolve, reject })
      this.#sendWaiting()
    })
  }

  /** Handles a message from PSDB. Ignores a message that matches no request; an invalid response fails the client. */
  received(message: Uint8Array): void {
    const response = message.length === MESSAGE_BYTES ? decodeResponse(message) : undefined
    const asked = response && this.#underWay.get(response.id)
    if (asked === undefined || response?.opcode !== (asked.call.opcode | ANSWER)) {
      this.#ignored += 1
      return
    }
    const problem = problemOf(response, asked)
    if (problem !== undefined)
      return this.failed(new StorageError('io', `answer of the storage server: ${problem}`))
    const { id, status, field, value, extra, index, offset, length } = response
    const bytes = length === 0 ? NOTHING : this.#port.get(offset, length)
    this.#underWay.delete(id)
    this.#region.give(offset, asked.length)
    asked.resolve({ status, field, value, extra, index, bytes })
    this.#sendWaiting()
  }

  /** Called when PSDB has ended: rejects pending and later requests with `error`. */
  failed(error: StorageError): void {
    this.#failure ??= error
    const lost = [...this.#underWay.values(), ...this.#waiting.splice(0)]
    this.#underWay.clear()
    for (const { reject } of lost) reject(this.#failure)
  }

  #sendWaiting(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#underWay.size >= QUEUE) return
      const offset = this.#region.take(next.length)
      if (offset === undefined) return
      this.#waiting.shift()
      this.#send(next, offset)
    }
  }

  #send(waiting: Waiting, offset: number): void {
    const { call, length } = waiting
    const id = this.#newId()
    const time = WRITES.has(call.opcode) ? this.#seconds() : 0
    const { bytes, room: _, ...fields } = call
    const message = encodeRequest({ ...fields, id, time, offset, length })
    this.#underWay.set(id, { ...waiting, offset })
    if (bytes !== undefined) this.#port.put(offset, bytes)
    this.#port.send(message)
  }

  #newId(): number {
    while (this.#underWay.has(this.#nextId)) this.#nextId = (this.#nextId + 1) >>> 0
    const id = this.#nextId
    this.#nextId = (id + 1) >>> 0
    return id
  }

  #seconds(): number {
    return Math.min(MAX_TIME, Math.max(0, Math.floor(this.#now() / 1000)))
  }
}

/** Returns why a response is invalid for its request. */
function problemOf(response: PsdbResponse, asked: UnderWay): string | undefined {
  const { status, value, extra, index, offset, length } = response
  const room = asked.call.bytes === undefined && status === STATUS.OK ? asked.length : 0
  if (status > STATUS.INVALID) return `status ${status}`
  if (offset !== asked.offset) return `offset ${offset}, asked for ${asked.offset}`
  if (length > room) return `length ${length}, there was room for ${room}`
  const large = [value, extra, index].find((number) => !Number.isSafeInteger(number))
  return large === undefined ? undefined : `a number above 2^53 - 1, ${large}`
}
