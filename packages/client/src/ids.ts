import { hash } from 'node:crypto'

/** The table doubles when a larger share of its slots is in use. */
const LOAD = 0.6

/**
 * A set of identifiers that keeps 64 bits of the SHA-256 of each, at most 27 bytes an identifier. `add` may report a new identifier as
 * known, about once in 10^7 sets of a million; a caller that needs certainty then compares the identifiers themselves.
 */
export class IdSet {
  #slots: Uint32Array = new Uint32Array(2 * 1024)
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Adds `id`. Returns false when the set already holds it, or one with the same 64 bits. */
  add(id: string): boolean {
    const digest = hash('sha256', id, 'buffer')
    if (this.#size + 1 > (this.#slots.length / 2) * LOAD) this.#grow()
    const added = insert(this.#slots, digest.readUInt32LE(0), digest.readUInt32LE(4) || 1)
    if (added) this.#size += 1
    return added
  }

  #grow(): void {
    const old = this.#slots
    const slots = new Uint32Array(old.length * 2)
    for (let i = 0; i < old.length; i += 2) {
      if (old[i + 1] !== 0) insert(slots, old[i] as number, old[i + 1] as number)
    }
    this.#slots = slots
  }
}

/** Inserts a pair of words by linear probing. A second word of 0 marks a free slot. */
function insert(slots: Uint32Array, first: number, second: number): boolean {
  const count = slots.length / 2
  for (let slot = first % count; ; slot = (slot + 1) % count) {
    const at = slot * 2
    if (slots[at + 1] === 0) {
      slots[at] = first
      slots[at + 1] = second
      return true
    }
    if (slots[at] === first && slots[at + 1] === second) return false
  }
}
