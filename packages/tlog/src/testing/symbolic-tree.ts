import { encodeBase64 } from '../base64.ts'
import type { Node } from '../edge.ts'
import type { Hash, Hasher } from '../hash.ts'

/**
 * A hasher for tests of trees that are too large to hash: a hash stands for a range of entries. Hashing two neighbours as
 * RFC 6962 section 2.1 does gives the range of both; hashing anything else gives a hash that stands for nothing.
 */
export class SymbolicTree implements Hasher {
  readonly #ranges = new Map<Hash, { start: number; end: number }>()
  #strays = 0

  /** MTH(D[start:end]). */
  range(start: number, end: number): Hash {
    const bytes = new Uint8Array(32)
    const view = new DataView(bytes.buffer)
    view.setFloat64(0, start)
    view.setFloat64(8, end)
    const hash = encodeBase64(bytes)
    this.#ranges.set(hash, { start, end })
    return hash
  }

  node(left: Hash, right: Hash): Hash
  node(subtree: Node): Hash
  node(left: Hash | Node, right?: Hash): Hash {
    if (typeof left !== 'string')
      return this.range(left.index * 2 ** left.level, (left.index + 1) * 2 ** left.level)
    const a = this.#ranges.get(left)
    const b = this.#ranges.get(right!)
    if (a === undefined || b === undefined || a.end !== b.start) return this.#stray()
    const width = a.end - a.start
    const perfect = Number.isInteger(Math.log2(width)) && a.start % width === 0 && b.end - b.start <= width
    return perfect ? this.range(a.start, b.end) : this.#stray()
  }

  leaf(): Hash {
    return this.#stray()
  }

  sha256(): Uint8Array {
    throw new Error('a symbolic tree hashes no bytes')
  }

  #stray(): Hash {
    return this.range(-1, --this.#strays)
  }
}
