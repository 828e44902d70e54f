import type { Hash } from '@service-fs/tlog/hash'

/** The durable entries that are not yet all in sealed tiles: their base64 lines and leaf hashes, from `base` on. */
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

  line(index: number): string | undefined {
    return index < this.#base ? undefined : this.#lines[index - this.#base]
  }

  /** The lines of the entries from `from` up to `to`; undefined unless all are held. */
  lines(from: number, to: number): string[] | undefined {
    return from < this.#base || to > this.end
      ? undefined
      : this.#lines.slice(from - this.#base, to - this.#base)
  }

  leaves(from: number, to: number): Hash[] | undefined {
    return from < this.#base || to > this.end
      ? undefined
      : this.#leaves.slice(from - this.#base, to - this.#base)
  }

  dropBelow(index: number): void {
    const count = Math.min(index - this.#base, this.#lines.length)
    if (count <= 0) return
    for (let i = 0; i < count; i++) this.#characters -= (this.#lines[i] as string).length
    this.#lines = this.#lines.slice(count)
    this.#leaves = this.#leaves.slice(count)
    this.#base += count
  }
}
