/** Records that are not in a run yet, with the range of entries that they cover. */
import { hash } from 'node:crypto'
import type { IndexedRecord } from '@service-fs/ledger/record-index'
import type { Hash } from '@service-fs/tlog/hash'
import { KEY_BYTES, PREFIX_BYTES, RECORD_BYTES } from './page.ts'
import type { Range } from './run.ts'

/** Returns the key of an identifier. Finding two identifiers with one key takes 2^64 attempts. */
export function keyOf(id: string): Buffer {
  return hash('sha256', id, 'buffer').subarray(0, KEY_BYTES)
}

export class Pending {
  readonly #from: number
  readonly #before: Hash | undefined
  /** Identifiers and the indexes of their first entries, in order of arrival. */
  readonly #ids: string[] = []
  readonly #indexes: number[] = []
  /** Keys of the first records. Built on the first lookup, because a rebuild makes no lookups. */
  readonly #found = new Map<string, number>()
  #mapped = 0
  #to: number
  #root: Hash | undefined
  /** The records of the future run, in order of arrival. */
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

  /** The range that a run of these records covers: at least one entry. */
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

  /** Returns the records in order of their keys, {@link RECORD_BYTES} bytes each. */
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
