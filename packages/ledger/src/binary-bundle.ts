/** An entry bundle in the binary form of c2sp.org/tlog-tiles, "Log entries": each entry after its length, a big-endian uint16. */
import { LENGTH_BYTES, type BinaryContent } from '@service-fs/tlog/kernel/kernel'
import { TILE_WIDTH } from '@service-fs/tlog/tile'
import { MAX_ENTRY_SIZE } from '@service-fs/tlog/tile-text'

/** A bundle of up to 256 entries that grows at its end. Bytes that it has returned never change, because a ledger only grows. */
export class BinaryBundle {
  #bytes: Uint8Array
  readonly #ends = new Uint32Array(TILE_WIDTH)
  #width = 0

  /** `capacity`: bytes to allocate at first. */
  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity)
  }

  /** Returns a bundle with this content, which the caller must not change. */
  static of({ bytes, ends }: BinaryContent): BinaryBundle {
    const bundle = new BinaryBundle(0)
    bundle.#bytes = bytes
    bundle.#ends.set(ends)
    bundle.#width = ends.length
    return bundle
  }

  /** Number of entries. */
  get width(): number {
    return this.#width
  }

  /** Bytes of memory that the bundle takes. */
  get weight(): number {
    return this.#bytes.length + this.#ends.byteLength
  }

  /** Appends an entry. @throws RangeError for an entry over 65,535 bytes, or the 257th */
  push(entry: Uint8Array): void {
    if (entry.length > MAX_ENTRY_SIZE || this.#width === TILE_WIDTH)
      throw new RangeError(
        `expected at most ${TILE_WIDTH} entries of ${MAX_ENTRY_SIZE} bytes, found entry ${this.#width} of ${entry.length} bytes`,
      )
    const at = this.#end(this.#width)
    const end = at + LENGTH_BYTES + entry.length
    if (end > this.#bytes.length) this.#grow(end)
    this.#bytes[at] = entry.length >> 8
    this.#bytes[at + 1] = entry.length
    this.#bytes.set(entry, at + LENGTH_BYTES)
    this.#ends[this.#width] = end
    this.#width += 1
  }

  /** Returns the bundle of the first `width` entries: a view, which the caller must not change. */
  prefix(width: number): Uint8Array {
    return this.#bytes.subarray(0, this.#end(width))
  }

  /** Returns entry `at`, from 0: a view, which the caller must not change. */
  entry(at: number): Uint8Array {
    return this.#bytes.subarray(this.#end(at) + LENGTH_BYTES, this.#end(at + 1))
  }

  /** Returns where the first `width` entries end. */
  #end(width: number): number {
    return width === 0 ? 0 : (this.#ends[width - 1] as number)
  }

  #grow(needed: number): void {
    const bytes = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
    bytes.set(this.prefix(this.#width))
    this.#bytes = bytes
  }
}
