/** Joins small pieces of an archive, so that they are not written one by one. */

/** The number of bytes to collect before a write. */
const BUFFER = 256 << 10

export class Collected {
  readonly #write: (bytes: Uint8Array) => Promise<void>
  #waiting: Uint8Array[] = []
  #length = 0

  constructor(write: (bytes: Uint8Array) => Promise<void>) {
    this.#write = write
  }

  /** Takes the next bytes. The caller must not change them. */
  async add(bytes: Uint8Array): Promise<void> {
    this.#waiting.push(bytes)
    this.#length += bytes.length
    if (this.#length >= BUFFER) await this.flush()
  }

  /** Writes the bytes that wait. A large piece is not copied. */
  async flush(): Promise<void> {
    const pieces = this.#waiting
    this.#waiting = []
    const length = this.#length
    this.#length = 0
    if (length >= 2 * BUFFER) for (const piece of pieces) await this.#write(piece)
    else if (length > 0) await this.#write(Buffer.concat(pieces, length))
  }
}
