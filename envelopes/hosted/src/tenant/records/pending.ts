/** Records that are in no run yet, with what they cover. */
import { hash } from 'node:crypto'
import type { IndexedRecord } from '@service-fs/ledger/record-index'
import type { Hash } from '@service-fs/tlog/hash'
import { KEY_BYTES, PREFIX_BYTES, RECORD_BYTES } from './page.ts'
import type { Range } from './run.ts'

/** The key of an identifier: two of the same key take 2^64 attempts to find. */
export function keyOf(id: string): Buffer {
  return hash('sha256', id, 'buffer').subarray(0, KEY_BYTES)
}

export class Pending {
  readonly #from: number
  readonly #before: Hash | undefined
  /** In the order of arrival: identifiers, and the indexes of their first entries. */
  readonly #ids: string[] = []
  readonly #indexes: number[] = []
  /** Of the first so many records; made when somebody looks, which nobody does while an index is made again. */
  readonly #found = new Map<string, number>()
  #mapped = 0
  #to: number
  #root: Hash | undefined
  /** What will be in the run, in the order of arrival. */
  #bytes = Buffer.alloc(64 * RECORD_BYTES)

  constructor(from: number, before: Hash | undefined) {
    this.#from = from
    this.#before = before
    this.#to = from
    this.#root = before
  }

  get records(): number {
    return this.#ids.length
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

  /** What a run of it covers; at least one entry. */
  get range(): Range {
    return { from: this.#from, before: this.#before, to: this.#to, root: this.#root ?? '' }
  }

  get(id: string): number | undefined {
    for (; this.#mapped < this.#ids.length; this.#mapped++) {
      const one = this.#ids[this.#mapped] as string
      if (!this.#found.has(one)) this.#found.set(one, this.#indexes[this.#mapped] as number)
    }
    return this.#found.get(id)
  }

  put(records: readonly IndexedRecord[], to: number, root: Hash): void {
    for (const { id, index } of records) {
      const at = this.#ids.length * RECORD_BYTES
      if (at === this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], at * 2)
      this.#bytes.set(keyOf(id), at)
      this.#bytes.writeUIntBE(index, at + KEY_BYTES, RECORD_BYTES - KEY_BYTES)
      this.#ids.push(id)
      this.#indexes.push(index)
    }
    this.#to = to
    this.#root = root
  }

  /** The records in the order of their keys, {@link RECORD_BYTES} each. */
  sorted(): Buffer {
    const count = this.records
    const bytes = this.#bytes
    const prefixes = new Float64Array(count)
    for (let i = 0; i < count; i++) prefixes[i] = bytes.readUIntBE(i * RECORD_BYTES, PREFIX_BYTES)
    const order = Uint32Array.from({ length: count }, (_, i) => i)
    order.sort((a, b) => {
      const difference = (prefixes[a] as number) - (prefixes[b] as number)
      if (difference !== 0) return difference
      const [one, other] = [a * RECORD_BYTES, b * RECORD_BYTES]
      return bytes.compare(bytes, other, other + KEY_BYTES, one, one + KEY_BYTES) || a - b
    })
    const sorted = Buffer.alloc(count * RECORD_BYTES)
    for (let i = 0; i < count; i++) {
      const at = (order[i] as number) * RECORD_BYTES
      bytes.copy(sorted, i * RECORD_BYTES, at, at + RECORD_BYTES)
    }
    return sorted
  }
}
