/** Writes records as JSON bytes, most of them without decoding their entries. */
import { PlainEntry, UNESCAPED } from '@service-fs/format/plain-entry'
import type { StoredRecord } from '@service-fs/ledger/record'
import { asciiEncode, type Codec } from '@service-fs/tlog/codec'
import { isSurelyCanonical } from './canonical-scan.ts'
import { mayBeginJson, recordJson } from './record-json.ts'

/**
 * How the records are separated. `list`: commas between them. `lines`: a line feed after each. `events`: each is a
 * server-sent event whose id is the record's cursor.
 */
export type Form = 'list' | 'lines' | 'events'

const CURSOR = asciiEncode('{"cursor":')
const PAYLOAD_ID = asciiEncode(',"payload_id":"')
const TYPE = asciiEncode('","type":"')
const TIME = asciiEncode('","time":"')
const PAYLOAD = asciiEncode('","payload":')
const PAYLOAD_BASE64 = asciiEncode('","payload_base64":"')
const END = asciiEncode('}')
const END_BASE64 = asciiEncode('"}')
const EVENT = asciiEncode('id: ')
const EVENT_DATA = asciiEncode('\nevent: record\ndata: ')
const EVENT_END = asciiEncode('\n\n')

/** An upper bound of the bytes of a record besides its id, type, time and payload: the names, the form, and two cursors of 16 digits. */
const FRAME_BYTES = 160
/** Beyond this length, setting a range of bytes is faster than copying them one by one. */
const SHORT = 32
/** The writer counts the code units of a text only once if the text has at least this many. */
const LONG = 4096
/** The most memory to allocate for records that are not known yet. */
const MOST_EXPECTED = 1024 * 1024
const DIGIT_0 = 0x30
const COMMA = 0x2c
const LINE_FEED = 0x0a

export class RecordWriter {
  readonly #codec: Codec
  readonly #form: Form
  readonly #plain = new PlainEntry(UNESCAPED)
  #bytes: Uint8Array
  #length = 0
  #count = 0
  #last: number | undefined
  /** UTF-16 code units in the first `#measured` bytes. */
  #units = 0
  #measured = 0
  /** Long texts behind `#measured` whose code units are known, in order: an interpreter would take seconds to count them. */
  readonly #counted: { start: number; end: number; units: number }[] = []

  /** `capacity`: bytes to allocate at first. */
  constructor(codec: Codec, form: Form, capacity = 0) {
    this.#codec = codec
    this.#form = form
    this.#bytes = new Uint8Array(capacity)
  }

  /** Allocates memory for `count` records like those of the entries, within bounds. */
  expect(entries: readonly Uint8Array[], count: number): void {
    let length = 0
    for (const entry of entries) length += entry.length
    const each = length / Math.max(1, entries.length) + FRAME_BYTES / 2
    this.#reserve(Math.min(Math.ceil(count * each), MOST_EXPECTED))
  }

  /** Number of records. */
  get count(): number {
    return this.#count
  }

  /** Index of the last record; undefined when there is none. */
  get last(): number | undefined {
    return this.#last
  }

  /** Returns the written bytes. The writer must not be used any more. */
  bytes(): Uint8Array {
    const isWasteful = this.#length < this.#bytes.length * 0.75
    return isWasteful ? this.#bytes.slice(0, this.#length) : this.#bytes.subarray(0, this.#length)
  }

  /** Reports whether the text, without separators of records, has at least `units` UTF-16 code units. */
  hasUnits(units: number): boolean {
    const wanted = units + this.#separators
    // A code unit takes at least one byte.
    if (this.#length < wanted) return false
    this.#measure(wanted)
    return this.#units >= wanted
  }

  get #separators(): number {
    if (this.#form === 'events') return 0
    return this.#form === 'lines' ? this.#count : Math.max(0, this.#count - 1)
  }

  /**
   * Writes the record whose only entry is `entry`, at `index`. Returns false, and writes nothing, when the entry must
   * be parsed first: it does not have the common form, or only parsing can tell whether its payload is canonical
   * JSON.
   */
  entry(index: number, entry: Uint8Array): boolean {
    const parts = this.#plain
    if (!parts.read(entry, 0, entry.length)) return false
    const isJson = isSurelyCanonical(entry, parts.payload)
    if (!isJson && mayBeginJson(entry[parts.payload])) return false
    const base64 = isJson ? undefined : this.#codec.base64Encode(entry.subarray(parts.payload))
    this.#reserve(FRAME_BYTES + entry.length + (base64?.length ?? 0))
    this.#begin(index)
    this.#all(CURSOR)
    this.#number(index + 1)
    this.#all(PAYLOAD_ID)
    this.#range(entry, parts.id, parts.idEnd)
    this.#all(TYPE)
    this.#range(entry, parts.type, parts.typeEnd)
    this.#all(TIME)
    this.#range(entry, parts.time, parts.timeEnd)
    if (base64 === undefined) {
      this.#all(PAYLOAD)
      this.#range(entry, parts.payload, entry.length)
      this.#all(END)
    } else {
      this.#all(PAYLOAD_BASE64)
      this.#text(this.#codec.asciiEncode(base64), base64.length)
      this.#all(END_BASE64)
    }
    this.#end(index)
    return true
  }

  record(record: StoredRecord): void {
    const text = recordJson(record, this.#codec)
    const bytes = this.#codec.utf8Encode(text)
    this.#reserve(FRAME_BYTES + bytes.length)
    this.#begin(record.index)
    this.#text(bytes, text.length)
    this.#end(record.index)
  }

  /** Writes the text that the form has before a record. */
  #begin(index: number): void {
    if (this.#form === 'list' && this.#count > 0) this.#bytes[this.#length++] = COMMA
    if (this.#form !== 'events') return
    this.#all(EVENT)
    this.#number(index + 1)
    this.#all(EVENT_DATA)
  }

  /** Writes the text that the form has after a record. */
  #end(index: number): void {
    if (this.#form === 'lines') this.#bytes[this.#length++] = LINE_FEED
    else if (this.#form === 'events') this.#all(EVENT_END)
    this.#count += 1
    this.#last = index
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

  /** Writes a text of `units` code units. */
  #text(bytes: Uint8Array, units: number): void {
    const start = this.#length
    this.#all(bytes)
    if (units >= LONG) this.#counted.push({ start, end: this.#length, units })
  }

  /** Counts code units up to the end, or until there are `wanted`. */
  #measure(wanted: number): void {
    while (this.#measured < this.#length && this.#units < wanted) {
      const [text] = this.#counted
      if (text !== undefined && text.start === this.#measured) {
        this.#counted.shift()
        this.#units += text.units
        this.#measured = text.end
      } else {
        this.#countUnits(text?.start ?? this.#length, wanted)
      }
    }
  }

  #countUnits(end: number, wanted: number): void {
    for (; this.#measured < end && this.#units < wanted; this.#measured++) {
      const byte = this.#bytes[this.#measured] as number
      // Every character begins with one byte that does not continue another; those of four bytes are two units.
      if ((byte & 0xc0) !== 0x80) this.#units += byte >= 0xf0 ? 2 : 1
    }
  }
}
