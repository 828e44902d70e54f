/**
 * The filter of a run: a Bloom filter (Bloom 1970) of its keys, so that a lookup of a key that is not in the run reads no page.
 *
 * Each page is a Bloom filter of its own, of the keys in one range. Keys are hashes, so each range has about as many keys as any other.
 * The pages are stored with the run and have its checksums.
 */
import { BODY_BYTES, checkPage, closePage, PAGE_BYTES, pagesOf } from './page.ts'

const BITS_A_PAGE = BODY_BYTES * 8
/** Bits that a key sets. With 16 bits a key, about one absent key in 1,700 passes. */
const PROBES = 8
const RANGES = 2 ** 32

export class Filter {
  /** Whole pages. */
  readonly bytes: Buffer
  readonly #pages: number

  /** `bytes`: the pages of a stored filter. Default: an empty filter for `records` keys. */
  constructor(records: number, bytes?: Buffer) {
    this.#pages = pagesOf(records).filter
    this.bytes = bytes ?? Buffer.alloc(this.#pages * PAGE_BYTES)
  }

  /** Adds the key at `at` in `keys`. */
  add(keys: Buffer, at: number): void {
    const { bytes } = this
    const page = this.#pageOf(keys, at)
    const step = keys.readUInt32BE(at + 8)
    let hash = keys.readUInt32BE(at + 4)
    for (let probe = 0; probe < PROBES; probe++) {
      const bit = hash % BITS_A_PAGE
      const byte = page + (bit >>> 3)
      bytes[byte] = (bytes[byte] as number) | (1 << (bit & 7))
      hash = (hash + step) >>> 0
    }
  }

  /** Reports whether the key at `at` in `keys` may have been added. Always returns true for a key that was added. */
  has(keys: Buffer, at = 0): boolean {
    if (this.#pages === 0) return false
    const { bytes } = this
    const page = this.#pageOf(keys, at)
    const step = keys.readUInt32BE(at + 8)
    let hash = keys.readUInt32BE(at + 4)
    for (let probe = 0; probe < PROBES; probe++) {
      const bit = hash % BITS_A_PAGE
      if (((bytes[page + (bit >>> 3)] as number) & (1 << (bit & 7))) === 0) return false
      hash = (hash + step) >>> 0
    }
    return true
  }

  /** Returns where the page of the key at `at` begins. */
  #pageOf(keys: Buffer, at: number): number {
    return Math.floor((keys.readUInt32BE(at) * this.#pages) / RANGES) * PAGE_BYTES
  }

  /** Writes the checksums of the pages, which are stored from page `first` on of the file named `file`. */
  close(file: string, first: number): void {
    for (let page = 0; page < this.#pages; page++)
      closePage(this.bytes, page * PAGE_BYTES, file, first + page)
  }

  /** @throws PageDamage if a page differs from what {@link close} wrote */
  check(file: string, first: number): void {
    for (let page = 0; page < this.#pages; page++)
      checkPage(this.bytes, page * PAGE_BYTES, file, first + page)
  }
}
