import type { Codec } from '@service-fs/tlog/codec'
import type { Hash } from '@service-fs/tlog/hash'
import type { Extension } from '@service-fs/tlog/kernel/kernel'

/** The text of consecutive entries: lines of base64, each with a newline. */
interface Block {
  /** The index of the first entry. */
  readonly first: number
  readonly text: Uint8Array
  /** The offset in `text` after each line. */
  readonly ends: Uint32Array
}

/** Holds the durable entries that are not sealed yet: their base64 lines and leaf hashes, from the entry `base` on. */
export class TailMemory {
  readonly #codec: Codec
  #base: number
  /** The blocks of all entries held. The first one may also have entries before `base`. */
  #blocks: Block[] = []
  #leaves: Hash[]
  /** The root hashes of full bundles that are known. */
  readonly #roots = new Map<number, Hash>()
  #characters = 0

  constructor(codec: Codec, base: number, lines: readonly string[] = [], leaves: readonly Hash[] = []) {
    this.#codec = codec
    this.#base = base
    this.#leaves = [...leaves]
    if (lines.length === 0) return
    const ends = new Uint32Array(lines.length)
    let end = 0
    for (const [i, line] of lines.entries()) ends[i] = end += line.length + 1
    this.#blocks.push({ first: base, text: codec.asciiEncode(lines.join('\n') + '\n'), ends })
    this.#characters = end - lines.length
  }

  get base(): number {
    return this.#base
  }

  get end(): number {
    return this.#base + this.#leaves.length
  }

  /** Characters of all lines held, without newlines. */
  get characters(): number {
    return this.#characters
  }

  /** Adds the entries of a commit. */
  push({ text, ends, leaves, tileRoots }: Extension): void {
    let bundle = Math.floor(this.end / 256)
    for (const root of tileRoots) this.#roots.set(bundle++, root)
    this.#blocks.push({ first: this.end, text, ends })
    this.#characters += text.length - ends.length
    for (const leaf of leaves) this.#leaves.push(leaf)
  }

  /** Returns the line of one entry, without its newline; undefined when it is not held. */
  line(index: number): string | undefined {
    const text = this.text(index, index + 1)
    return text && this.#codec.utf8Decode(text.subarray(0, -1))
  }

  /** Returns the lines of the entries from `from` up to, not including, `to`; undefined unless all are held. */
  lines(from: number, to: number): string[] | undefined {
    const text = this.text(from, to)
    if (text === undefined) return undefined
    return text.length === 0 ? [] : this.#codec.utf8Decode(text.subarray(0, -1)).split('\n')
  }

  /** Returns lines as text, each with its newline; the range is as in {@link lines}. Must not be changed. */
  text(from: number, to: number): Uint8Array | undefined {
    if (!this.#holds(from, to)) return undefined
    if (from === to) return new Uint8Array()
    const parts: Uint8Array[] = []
    let at = this.#blockOf(from)
    for (let next = from; next < to; at++) {
      const { first, text, ends } = this.#blocks[at] as Block
      const end = Math.min(to, first + ends.length)
      parts.push(text.subarray(startOf(ends, next - first), ends[end - first - 1]))
      next = end
    }
    return parts.length === 1 ? parts[0] : this.#codec.concat(...parts)
  }

  /** Returns leaf hashes; the range is as in {@link lines}. */
  leaves(from: number, to: number): Hash[] | undefined {
    return this.#holds(from, to) ? this.#leaves.slice(from - this.#base, to - this.#base) : undefined
  }

  /** Returns the root hash over a full bundle; undefined when no commit gave it. */
  rootOf(bundle: number): Hash | undefined {
    return this.#roots.get(bundle)
  }

  /** Drops the entries before `index`. */
  dropBelow(index: number): void {
    const to = Math.min(index, this.end)
    if (to <= this.#base) return
    for (let bundle = Math.floor(this.#base / 256); bundle < Math.floor(to / 256); bundle++)
      this.#roots.delete(bundle)
    const kept = this.#blocks
      .filter(({ first, ends }) => first + ends.length > to)
      .map((block) => rest(block, to))
    this.#leaves = this.#leaves.slice(to - this.#base)
    this.#base = to
    this.#blocks = kept
    this.#characters = 0
    for (const { first, text, ends } of kept) {
      const before = Math.max(to - first, 0)
      this.#characters += text.length - startOf(ends, before) - (ends.length - before)
    }
  }

  #holds(from: number, to: number): boolean {
    return from >= this.#base && to <= this.end
  }

  /** Returns the place of the block that has an entry. */
  #blockOf(index: number): number {
    let low = 0
    let high = this.#blocks.length - 1
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if ((this.#blocks[middle] as Block).first <= index) low = middle
      else high = middle - 1
    }
    return low
  }
}

/**
 * Returns a block without the entries before `from`, or the block itself if those entries are its smaller part: a copy would then cost more
 * memory than it frees.
 */
function rest(block: Block, from: number): Block {
  const { first, text, ends } = block
  const dropped = Math.max(from - first, 0)
  const start = startOf(ends, dropped)
  if (2 * start < text.length) return block
  return {
    first: from,
    text: new Uint8Array(text.subarray(start)),
    ends: ends.slice(dropped).map((end) => end - start),
  }
}

/** Returns the offset of line number `i`. */
function startOf(ends: Uint32Array, i: number): number {
  return i === 0 ? 0 : (ends[i - 1] as number)
}
