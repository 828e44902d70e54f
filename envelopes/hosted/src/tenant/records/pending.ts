/** Records that are not in a run yet, with the range of entries that they cover. */
import { hash, randomInt } from 'node:crypto'
import type { IndexedRecord } from '@service-fs/ledger/record-index'
import { nativeKernel } from '@service-fs/native/native'
import type { Hash } from '@service-fs/tlog/hash'
import { KEY_BYTES, PREFIX_BYTES, RECORD_BYTES } from './page.ts'
import type { Range } from './run.ts'

/** Bytes from one key to the next in the result of {@link keysOf}. */
export const KEY_STRIDE = 32

/** Returns the key of an identifier. Finding two identifiers with one key takes 2^64 attempts. */
export function keyOf(id: string): Buffer {
  return hash('sha256', id, 'buffer').subarray(0, KEY_BYTES)
}

/** Returns the key of each identifier, one every {@link KEY_STRIDE} bytes. */
export function keysOf(ids: readonly string[]): Buffer {
  const bytes = Buffer.from(ids.join(''))
  const offsets = new Uint32Array(ids.length + 1)
  for (let i = 0; i < ids.length; i++)
    offsets[i + 1] = (offsets[i] as number) + Buffer.byteLength(ids[i] as string)
  // Two lone surrogates can join to one character. Hash such identifiers one by one.
  if (offsets[ids.length] !== bytes.length)
    return Buffer.concat(ids.flatMap((id) => [keyOf(id), Buffer.alloc(KEY_STRIDE - KEY_BYTES)]))
  const keys = nativeKernel.digests(bytes, offsets)
  return Buffer.from(keys.buffer, keys.byteOffset, keys.length)
}

/** Compares the keys at `a` and at `b` in `keys`, like `Buffer.compare`. */
export function compareKeys(keys: Buffer, a: number, b: number): number {
  return keys.compare(keys, b, b + KEY_BYTES, a, a + KEY_BYTES)
}

/** The hash table grows when a larger share of its slots is in use. */
const LOAD = 0.5
/** The slots of the smallest table. */
const SLOTS = 256

export class Pending {
  readonly #from: number
  readonly #before: Hash | undefined
  #to: number
  #root: Hash | undefined
  /** The records of the future run, in order of arrival. */
  #bytes = Buffer.alloc(64 * RECORD_BYTES)
  #records = 0
  /**
   * A hash table with linear probing: in each slot 0, or the number of a record plus 1. Built on the first lookup, because a rebuild
   * makes no lookups. The factors are random, so that no client can choose identifiers that share their slots.
   */
  #slots = new Uint32Array(SLOTS)
  #mapped = 0
  readonly #factors = [randomInt(2 ** 31) * 2 + 1, randomInt(2 ** 31) * 2 + 1] as const

  constructor(from: number, before: Hash | undefined) {
    this.#from = from
    this.#before = before
    this.#to = from
    this.#root = before
  }

  get records(): number {
    return this.#records
  }

  get to(): number {
    return this.#to
  }

  /** The root hash at `to`. */
  get root(): Hash | undefined {
    return this.#root
  }

  get entries(): number {
    return this.#to - this.#from
  }

  /** The range that a run of these records covers: at least one entry. */
  get range(): Range {
    return { from: this.#from, before: this.#before, to: this.#to, root: this.#root ?? '' }
  }

  /** Returns the index of the first record with the key at `at` in `keys`. */
  get(keys: Buffer, at: number): number | undefined {
    this.#map()
    const found = this.#slots[this.#slotOf(keys, at)] as number
    if (found === 0) return undefined
    return this.#bytes.readUIntBE((found - 1) * RECORD_BYTES + KEY_BYTES, RECORD_BYTES - KEY_BYTES)
  }

  /** Adds the new records to the table. If several records have the same key, the table has the first. */
  #map(): void {
    if (this.#mapped === this.#records) return
    if (this.#records > LOAD * this.#slots.length) {
      let slots = this.#slots.length
      while (this.#records > LOAD * slots) slots *= 2
      this.#slots = new Uint32Array(slots)
      this.#mapped = 0
    }
    for (; this.#mapped < this.#records; this.#mapped++) {
      const slot = this.#slotOf(this.#bytes, this.#mapped * RECORD_BYTES)
      if (this.#slots[slot] === 0) this.#slots[slot] = this.#mapped + 1
    }
  }

  /** Returns the slot of the record with the key at `at` in `keys`, or the empty slot where it would go. */
  #slotOf(keys: Buffer, at: number): number {
    const slots = this.#slots
    const [a, b] = this.#factors
    const mixed = Math.imul(keys.readInt32BE(at), a) + Math.imul(keys.readInt32BE(at + 4), b)
    // The upper bits of a product depend on all bits of its factors.
    let slot = Math.floor(((mixed >>> 0) / 2 ** 32) * slots.length)
    for (let found = slots[slot] as number; found !== 0; found = slots[slot] as number) {
      const place = (found - 1) * RECORD_BYTES
      if (this.#bytes.compare(keys, at, at + KEY_BYTES, place, place + KEY_BYTES) === 0) break
      slot = (slot + 1) % slots.length
    }
    return slot
  }

  put(records: readonly IndexedRecord[], to: number, root: Hash): void {
    const [first] = records
    const keys =
      records.length === 1 && first !== undefined ? keyOf(first.id) : keysOf(records.map(({ id }) => id))
    this.#reserve(records.length)
    const bytes = this.#bytes
    for (let i = 0; i < records.length; i++) {
      const at = this.#records * RECORD_BYTES
      keys.copy(bytes, at, i * KEY_STRIDE, i * KEY_STRIDE + KEY_BYTES)
      bytes.writeUIntBE((records[i] as IndexedRecord).index, at + KEY_BYTES, RECORD_BYTES - KEY_BYTES)
      this.#records += 1
    }
    this.#to = to
    this.#root = root
  }

  #reserve(records: number): void {
    const length = (this.#records + records) * RECORD_BYTES
    if (length > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], 2 * length)
  }

  /**
   * Returns the records in order of their keys, {@link RECORD_BYTES} bytes each; records with the same key stay in
   * order of arrival.
   */
  sorted(): Buffer {
    const order = this.#order()
    const sorted = Buffer.allocUnsafe(order.length * RECORD_BYTES)
    for (let i = 0; i < order.length; i++) {
      const at = (order[i] as number) * RECORD_BYTES
      this.#bytes.copy(sorted, i * RECORD_BYTES, at, at + RECORD_BYTES)
    }
    return sorted
  }

  /** Returns the numbers of the records in order of their keys. */
  #order(): Float64Array {
    const count = this.#records
    const bytes = this.#bytes
    // A number holds 53 bits: the first bits of a key, and the record's number. So the numbers sort without a comparison function.
    const numbers = 2 ** Math.ceil(Math.log2(count + 1))
    const unit = (2 ** (8 * PREFIX_BYTES) * numbers) / 2 ** 53
    const order = new Float64Array(count)
    for (let i = 0; i < count; i++)
      order[i] = Math.floor(bytes.readUIntBE(i * RECORD_BYTES, PREFIX_BYTES) / unit) * numbers + i
    order.sort()
    let last = -1
    for (let i = 0; i < count; i++) {
      const bits = Math.floor((order[i] as number) / numbers)
      const number = (order[i] as number) % numbers
      let to = i
      if (bits === last)
        for (; to > 0 && this.#isBelow(number, order[to - 1] as number); to--)
          order[to] = order[to - 1] as number
      order[to] = number
      last = bits
    }
    return order
  }

  /** Reports whether the key of record `a` is lower than that of record `b`. */
  #isBelow(a: number, b: number): boolean {
    return compareKeys(this.#bytes, a * RECORD_BYTES, b * RECORD_BYTES) < 0
  }
}
