/** The largest share of slots in use. If more slots are in use, the table grows. */
const LOAD = 0.75
/** The number of slots of the first table, unless fewer identifiers are expected. */
const FIRST = 1 << 16

/**
 * A set of identifiers that keeps only a fingerprint of 64 bits for each. It takes at most 10.7 bytes per identifier when `expected` is
 * right, and half as much again while it grows. `add` may report a new identifier as known if another identifier has the same fingerprint;
 * the caller must then compare the identifiers. It never reports a known identifier as new.
 */
export class FingerprintSet {
  /**
   * The slots, each of two words. The second word of a free slot is 0. The slots are in the order of the first word, except after
   * collisions.
   */
  #slots: Uint32Array
  readonly #expected: number
  #size = 0
  /** The last value that `touch` read. If the value were not used, the engine would optimize the reads away. */
  touched = 0

  /**
   * @param expected the number of identifiers, if it is known; the set then grows only up to that size @param sure a lower bound of the
   * number of identifiers: the first table has room for so many
   */
  constructor(expected: number = Number.MAX_SAFE_INTEGER, sure: number = 0) {
    this.#expected = expected
    const enough = Math.max(FIRST, Math.ceil((sure + 1) / LOAD))
    this.#slots = new Uint32Array(2 * Math.min(enough, Math.ceil((expected + 1) / LOAD)))
  }

  get size(): number {
    return this.#size
  }

  /** The bytes of the table. */
  get bytes(): number {
    return this.#slots.byteLength
  }

  /**
   * Reads the slots of the `count` fingerprints in `words` before they are added, so that the processor waits for the memory of all of them
   * at once.
   */
  touch(words: Uint32Array, first: number, count: number): void {
    const slots = this.#slots
    let sum = 0
    for (let i = 2 * first; i < 2 * (first + count); i += 2) sum ^= slots[2 * slotOf(slots, words[i]!)]!
    this.touched = sum
  }

  /** Adds a fingerprint of two words. Returns false when the set already holds it. */
  add(first: number, second: number): boolean {
    const count = this.#slots.length / 2
    if (this.#size + 1 > count * LOAD) this.#grow(count)
    const added = insert(this.#slots, first, second === 0 ? 1 : second)
    if (added) this.#size += 1
    return added
  }

  #grow(count: number): void {
    const old = this.#slots
    const enough = Math.ceil((this.#expected + 1) / LOAD)
    // If more identifiers arrive than expected, the set still grows.
    const slots = new Uint32Array(2 * (enough > count ? Math.min(2 * count, enough) : 2 * count))
    for (let i = 0; i < old.length; i += 2) if (old[i + 1] !== 0) insert(slots, old[i]!, old[i + 1]!)
    this.#slots = slots
  }
}

/** Inserts a pair of words by linear probing. */
function insert(slots: Uint32Array, first: number, second: number): boolean {
  const count = slots.length / 2
  let slot = slotOf(slots, first)
  for (;;) {
    const at = slot * 2
    const found = slots[at + 1]
    if (found === 0) {
      slots[at] = first
      slots[at + 1] = second
      return true
    }
    if (found === second && slots[at] === first) return false
    slot += 1
    if (slot === count) slot = 0
  }
}

function slotOf(slots: Uint32Array, first: number): number {
  return Math.floor((first / 0x1_0000_0000) * (slots.length / 2))
}
