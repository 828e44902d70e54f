/** The messages between a ledger and PSDB: microkit/psdb/message.h in TypeScript. */

export const MESSAGE_BYTES = 64
export const SECTOR = 512
/** Characters in the name of a verifier key. */
export const NAME_BYTES = 16
/** The most unanswered requests of one tenant. */
export const QUEUE = 64
/** The largest time in a tar member's header, in seconds since the Unix epoch. */
export const MAX_TIME = 0o77777777777
export const MAX_SIZE = 9007199254740991

export const OPCODE = { READ: 1, SEAL: 2, COMMIT: 3, TAIL: 4, PUBLISH: 5, STAT: 6 } as const
export const KIND = {
  README: 1,
  ORIGIN: 2,
  VKEY: 3,
  TILE: 4,
  BUNDLE: 5,
  TAIL_FILE: 6,
  CHECKPOINT: 7,
} as const
export const LEDGER = { MAIN: 0, AUDIT: 1 } as const
export const STATUS = { OK: 0, NONE: 1, CONFLICT: 2, FULL: 3, IO: 4, CORRUPT: 5, INVALID: 6 } as const
/** The bit that a response sets in the opcode of its request. */
export const ANSWER = 0x80

export type Opcode = (typeof OPCODE)[keyof typeof OPCODE]
export type Kind = (typeof KIND)[keyof typeof KIND]
export type LedgerNumber = (typeof LEDGER)[keyof typeof LEDGER]

/** Offsets of the fields of a request. */
export const REQUEST = {
  id: 0,
  opcode: 4,
  ledger: 5,
  kind: 6,
  level: 7,
  index: 8,
  size: 16,
  at: 24,
  time: 32,
  offset: 40,
  length: 44,
  name: 48,
} as const

/** Offsets of the fields of a response. */
export const RESPONSE = {
  id: 0,
  opcode: 4,
  status: 5,
  field: 6,
  zero: 7,
  value: 8,
  extra: 16,
  index: 24,
  offset: 32,
  length: 36,
  reserved: 40,
} as const

/** A request. Absent numbers are 0, an absent name is empty. Sizes, indexes and lengths are safe integers; `name` is ASCII. */
export interface PsdbRequest {
  readonly id: number
  readonly opcode: Opcode
  readonly ledger: LedgerNumber
  readonly kind?: Kind
  readonly level?: number
  readonly index?: number
  readonly size?: number
  readonly at?: number
  readonly time?: number
  readonly offset?: number
  readonly length?: number
  readonly name?: string
}

/** A response, unchecked. A 64-bit number above 2^53 - 1 may be rounded, but stays above it. */
export interface PsdbResponse {
  readonly id: number
  readonly opcode: number
  readonly status: number
  readonly field: number
  readonly value: number
  readonly extra: number
  readonly index: number
  readonly offset: number
  readonly length: number
}

/** Encodes a request as 64 bytes. */
export function encodeRequest(request: PsdbRequest): Uint8Array {
  const message = new Uint8Array(MESSAGE_BYTES)
  const view = new DataView(message.buffer)
  view.setUint32(REQUEST.id, request.id, true)
  message[REQUEST.opcode] = request.opcode
  message[REQUEST.ledger] = request.ledger
  message[REQUEST.kind] = request.kind ?? 0
  message[REQUEST.level] = request.level ?? 0
  setUint64(view, REQUEST.index, request.index ?? 0)
  setUint64(view, REQUEST.size, request.size ?? 0)
  setUint64(view, REQUEST.at, request.at ?? 0)
  setUint64(view, REQUEST.time, request.time ?? 0)
  view.setUint32(REQUEST.offset, request.offset ?? 0, true)
  view.setUint32(REQUEST.length, request.length ?? 0, true)
  const name = request.name ?? ''
  if (name.length > NAME_BYTES) throw new RangeError(`name ${name}: more than ${NAME_BYTES} characters`)
  for (let i = 0; i < name.length; i++) message[REQUEST.name + i] = name.charCodeAt(i)
  return message
}

/** Decodes a response. @throws RangeError unless `message` has 64 bytes */
export function decodeResponse(message: Uint8Array): PsdbResponse {
  if (message.length !== MESSAGE_BYTES)
    throw new RangeError(`message: expected ${MESSAGE_BYTES} bytes, found ${message.length}`)
  const view = new DataView(message.buffer, message.byteOffset, MESSAGE_BYTES)
  return {
    id: view.getUint32(RESPONSE.id, true),
    opcode: view.getUint8(RESPONSE.opcode),
    status: view.getUint8(RESPONSE.status),
    field: view.getUint8(RESPONSE.field),
    value: getUint64(view, RESPONSE.value),
    extra: getUint64(view, RESPONSE.extra),
    index: getUint64(view, RESPONSE.index),
    offset: view.getUint32(RESPONSE.offset, true),
    length: view.getUint32(RESPONSE.length, true),
  }
}

/** Returns the name of the request field at `offset`. */
export function fieldName(offset: number): string {
  const found = Object.entries(REQUEST).find(([, at]) => at === offset)
  return found?.[0] ?? `at byte ${offset}`
}

/** Returns the 64-bit number at `offset`. One above 2^53 - 1 may be rounded, but stays above it. */
export function getUint64(view: DataView, offset: number): number {
  return view.getUint32(offset + 4, true) * 2 ** 32 + view.getUint32(offset, true)
}

function setUint64(view: DataView, offset: number, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${fieldName(offset)}: ${value}`)
  view.setUint32(offset, value % 2 ** 32, true)
  view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true)
}
