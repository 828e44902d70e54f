import { encodeBase64 } from '../base64.ts'
import type { Node } from '../edge.ts'
import type { Hash, Hasher } from '../hash.ts'

/**
 * A hasher for tests of trees that are too large to hash. Each of its hashes represents a range of entries. Hashing two neighbors that RFC
 * 6962 section 2.1 joins returns the hash of both ranges. Hashing anything else returns a hash that represents no range.
 */
export class SymbolicTree implements Hasher {
  readonly #ranges = new Map<Hash, { start: number; end: number }>()
  #strays = 0

  /** Returns the hash that represents MTH(D[start:end]). */
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
    throw new Error('a symbolic tree cannot hash bytes')
  }

  #stray(): Hash {
    return this.range(-1, --this.#strays)
  }
}
