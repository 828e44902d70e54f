/** Allocations are multiples of this many bytes, so that each begins on a cache line. */
const UNIT = 64

/** Allocates space in a data region, first fit. */
export class RegionAllocator {
  /** The largest possible allocation, in bytes. */
  readonly bytes: number
  /** Free spaces in ascending order, never adjacent. */
  readonly #free: { offset: number; length: number }[]

  constructor(bytes: number) {
    this.bytes = bytes - (bytes % UNIT)
    this.#free = this.bytes === 0 ? [] : [{ offset: 0, length: this.bytes }]
  }

  /** Allocates `length` bytes and returns their offset; undefined when there is no room now. An empty allocation is at offset 0. */
  take(length: number): number | undefined {
    const units = rounded(length)
    if (units === 0) return 0
    const i = this.#free.findIndex((place) => place.length >= units)
    const place = this.#free[i]
    if (place === undefined) return undefined
    const { offset } = place
    place.offset += units
    place.length -= units
    if (place.length === 0) this.#free.splice(i, 1)
    return offset
  }

  /** Frees an allocation of take(), given its length. */
  give(offset: number, length: number): void {
    const units = rounded(length)
    if (units === 0) return
    const next = this.#free.findIndex((place) => place.offset > offset)
    const at = next < 0 ? this.#free.length : next
    const before = this.#free[at - 1]
    const after = this.#free[at]
    const joinsBefore = before !== undefined && before.offset + before.length === offset
    const joinsAfter = after !== undefined && offset + units === after.offset
    if (joinsBefore && joinsAfter) {
      before.length += units + after.length
      this.#free.splice(at, 1)
    } else if (joinsBefore) {
      before.length += units
    } else if (joinsAfter) {
      after.offset = offset
      after.length += units
    } else {
      this.#free.splice(at, 0, { offset, length: units })
    }
  }
}

function rounded(length: number): number {
  return Math.ceil(length / UNIT) * UNIT
}
