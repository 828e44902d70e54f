import type { Hash } from '@service-fs/tlog/hash'

/** Holds the durable entries that are not sealed yet: their base64 lines and leaf hashes, from the entry `base` on. */
export class TailMemory {
  #base: number
  #lines: string[]
  #leaves: Hash[]
  #characters = 0

  constructor(base: number, lines: string[] = [], leaves: Hash[] = []) {
    this.#base = base
    this.#lines = lines
    this.#leaves = leaves
    for (const line of lines) this.#characters += line.length
  }

  get base(): number {
    return this.#base
  }

  get end(): number {
    return this.#base + this.#lines.length
  }

  /** Characters of all lines held. */
  get characters(): number {
    return this.#characters
  }

  push(lines: readonly string[], leaves: readonly Hash[]): void {
    for (const line of lines) {
      this.#lines.push(line)
      this.#characters += line.length
    }
    for (const leaf of leaves) this.#leaves.push(leaf)
  }

  /** Returns the line of one entry; undefined when it is not held. */
  line(index: number): string | undefined {
    return index < this.#base ? undefined : this.#lines[index - this.#base]
  }

  /** Returns the lines of the entries from `from` up to, not including, `to`; undefined unless all are held. */
  lines(from: number, to: number): string[] | undefined {
    return from < this.#base || to > this.end
      ? undefined
      : this.#lines.slice(from - this.#base, to - this.#base)
  }

  /** Returns leaf hashes; the range is as in {@link lines}. */
  leaves(from: number, to: number): Hash[] | undefined {
    return from < this.#base || to > this.end
      ? undefined
      : this.#leaves.slice(from - this.#base, to - this.#base)
  }

  /** Drops the entries before `index`. */
  dropBelow(index: number): void {
    const count = Math.min(index - this.#base, this.#lines.length)
    if (count <= 0) return
    for (let i = 0; i < count; i++) this.#characters -= (this.#lines[i] as string).length
    this.#lines = this.#lines.slice(count)
    this.#leaves = this.#leaves.slice(count)
    this.#base += count
  }
}
