const LINE_FEED = 0x0a

/** The stored text of an entry bundle, up to 22 MB, and the ends of its first lines, which are found when they are needed. */
export class BundleText {
  readonly bytes: Uint8Array
  readonly #ends: number[] = []

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  /** Returns line `at`, from 0, without its line feed: any bytes. Returns undefined when there are fewer lines. */
  line(at: number): Uint8Array | undefined {
    const ends = this.#ends
    while (ends.length <= at) {
      const end = this.bytes.indexOf(LINE_FEED, (ends.at(-1) ?? -1) + 1)
      if (end < 0) return undefined
      ends.push(end)
    }
    return this.bytes.subarray((ends[at - 1] ?? -1) + 1, ends[at])
  }
}
