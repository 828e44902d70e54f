/** Writes records as JSON bytes, most of them without decoding their entries. */
import { plainEntry } from '@service-fs/format/plain-entry'
import type { StoredRecord } from '@service-fs/ledger/record'
import { asciiEncode, type Codec } from '@service-fs/tlog/codec'
import { isSurelyCanonical } from './canonical-scan.ts'
import { recordJson } from './record-json.ts'

const CURSOR = asciiEncode('{"cursor":')
const PAYLOAD_ID = asciiEncode(',"payload_id":"')
const TYPE = asciiEncode('","type":"')
const TIME = asciiEncode('","time":"')
const PAYLOAD = asciiEncode('","payload":')
const END = asciiEncode('}')

/** Bytes of a record's JSON besides its id, type, time and payload: the names, up to 16 digits of the cursor, and a separator. */
const FRAME_BYTES = 96
/** Beyond this length, setting a range of bytes is faster than copying them one by one. */
const SHORT = 32
const DIGIT_0 = 0x30

export class RecordWriter {
  readonly #codec: Codec
  #bytes: Uint8Array
  #length = 0
  /** UTF-16 code units in the first `#measured` bytes. */
  #units = 0
  #measured = 0

  /** `capacity`: bytes to allocate at first. */
  constructor(codec: Codec, capacity = 0) {
    this.#codec = codec
    this.#bytes = new Uint8Array(capacity)
  }

  /** Returns what was written. The writer must not be used any more. */
  bytes(): Uint8Array {
    const isWasteful = this.#length < this.#bytes.length * 0.75
    return isWasteful ? this.#bytes.slice(0, this.#length) : this.#bytes.subarray(0, this.#length)
  }

  /** Reports whether the text has at least `units` UTF-16 code units. */
  hasUnits(units: number): boolean {
    // A code unit takes at least one byte.
    return this.#length >= units && this.#measure() >= units
  }

  /**
   * Writes the record whose only entry is `entry`, at `index`. Returns false, and writes nothing, unless the entry is of the common form
   * and its payload surely canonical JSON. `before`: a character to write first.
   */
  entry(index: number, entry: Uint8Array, before?: number): boolean {
    const parts = plainEntry(entry)
    if (parts === undefined || !isSurelyCanonical(entry, parts.payload)) return false
    this.#reserve(entry.length + FRAME_BYTES)
    if (before !== undefined) this.#bytes[this.#length++] = before
    this.#all(CURSOR)
    this.#number(index + 1)
    this.#all(PAYLOAD_ID)
    this.#range(entry, parts.id, parts.idEnd)
    this.#all(TYPE)
    this.#range(entry, parts.type, parts.typeEnd)
    this.#all(TIME)
    this.#range(entry, parts.time, parts.timeEnd)
    this.#all(PAYLOAD)
    this.#range(entry, parts.payload, entry.length)
    this.#all(END)
    return true
  }

  record(record: StoredRecord): void {
    const bytes = this.#codec.utf8Encode(recordJson(record, this.#codec))
    this.#reserve(bytes.length)
    this.#range(bytes, 0, bytes.length)
  }

  /** Writes one ASCII character. */
  character(code: number): void {
    this.#reserve(1)
    this.#bytes[this.#length++] = code
  }

  #all(bytes: Uint8Array): void {
    this.#range(bytes, 0, bytes.length)
  }

  #range(from: Uint8Array, start: number, end: number): void {
    const to = this.#bytes
    const length = end - start
    if (length > SHORT) to.set(from.subarray(start, end), this.#length)
    else for (let i = 0; i < length; i++) to[this.#length + i] = from[start + i] as number
    this.#length += length
  }

  #number(value: number): void {
    let digits = 1
    for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits += 1
    let rest = value
    for (let at = this.#length + digits - 1; at >= this.#length; at--) {
      this.#bytes[at] = DIGIT_0 + (rest % 10)
      rest = Math.floor(rest / 10)
    }
    this.#length += digits
  }

  #reserve(more: number): void {
    const needed = this.#length + more
    if (needed <= this.#bytes.length) return
    const bytes = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
    bytes.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = bytes
  }

  #measure(): number {
    for (; this.#measured < this.#length; this.#measured++) {
      const byte = this.#bytes[this.#measured] as number
      // Every character begins with one byte that does not continue another; those of four bytes are two units.
      if ((byte & 0xc0) !== 0x80) this.#units += byte >= 0xf0 ? 2 : 1
    }
    return this.#units
  }
}
