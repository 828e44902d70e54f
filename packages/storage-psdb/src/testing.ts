/** A storage server for tests of failures: the test decides every response. */
import { ANSWER, getUint64, MESSAGE_BYTES, REQUEST, RESPONSE, type PsdbResponse } from './message.ts'
import type { PsdbPort } from './port.ts'

/** A received request. */
export interface SeenRequest {
  readonly id: number
  readonly opcode: number
  readonly kind: number
  readonly index: number
  readonly at: number
  readonly time: number
  readonly offset: number
  readonly length: number
}

/** Encodes a response as 64 bytes. */
export function encodeResponse(response: Partial<PsdbResponse>): Uint8Array {
  const message = new Uint8Array(MESSAGE_BYTES)
  const view = new DataView(message.buffer)
  view.setUint32(RESPONSE.id, response.id ?? 0, true)
  message[RESPONSE.opcode] = response.opcode ?? 0
  message[RESPONSE.status] = response.status ?? 0
  message[RESPONSE.field] = response.field ?? 0
  view.setBigUint64(RESPONSE.value, BigInt(response.value ?? 0), true)
  view.setBigUint64(RESPONSE.extra, BigInt(response.extra ?? 0), true)
  view.setBigUint64(RESPONSE.index, BigInt(response.index ?? 0), true)
  view.setUint32(RESPONSE.offset, response.offset ?? 0, true)
  view.setUint32(RESPONSE.length, response.length ?? 0, true)
  return message
}

/** A port with a data region, which records the requests in order. */
export class FakePort implements PsdbPort {
  readonly regionBytes: number
  readonly region: Uint8Array
  readonly sent: SeenRequest[] = []
  /** Called for each request. */
  onSend: (request: SeenRequest) => void = () => undefined

  constructor(regionBytes: number) {
    this.regionBytes = regionBytes
    this.region = new Uint8Array(regionBytes)
  }

  put(offset: number, bytes: Uint8Array): void {
    this.region.set(bytes, offset)
  }

  get(offset: number, length: number): Uint8Array {
    return this.region.slice(offset, offset + length)
  }

  send(message: Uint8Array): void {
    const view = new DataView(message.buffer, message.byteOffset, message.length)
    const request = {
      id: view.getUint32(REQUEST.id, true),
      opcode: view.getUint8(REQUEST.opcode),
      kind: view.getUint8(REQUEST.kind),
      index: getUint64(view, REQUEST.index),
      at: getUint64(view, REQUEST.at),
      time: getUint64(view, REQUEST.time),
      offset: view.getUint32(REQUEST.offset, true),
      length: view.getUint32(REQUEST.length, true),
    }
    this.sent.push(request)
    this.onSend(request)
  }
}

/** Returns the response to `request`: OK and without bytes, unless `fields` say otherwise. */
export function answerTo(request: SeenRequest, fields: Partial<PsdbResponse> = {}): Uint8Array {
  const { id, opcode, offset } = request
  return encodeResponse({ id, opcode: opcode | ANSWER, offset, ...fields })
}
