/**
 * Checks a full entry bundle and its hash tile in one pass. If a bundle has a fault, `TreeWalk` and `RecordCheck` check it again and report
 * the fault.
 */
import type { Hash } from '@service-fs/tlog/hash'
import type { BundleContent } from '@service-fs/tlog/kernel/kernel'
import { TILE_WIDTH } from '@service-fs/tlog/tile'
import { TIME_LENGTH } from '@service-fs/format/time'
import { equalBytes, nativeCodec, nativeKernel } from '@service-fs/native/native'
import { treeHasher, type TreeHasher } from '@service-fs/native/tree-hasher'
import type { TreeAlgorithm } from '@service-fs/format/tree-binding'
import type { FingerprintKey } from './fingerprint.ts'
import { treeBundle, type TreeBundle } from './second-tree/tree-bundle.ts'
import { HeaderReader } from './header-reader.ts'

/** Consecutive entries of a bundle that are whole records, with times in order. */
export interface PlainRun {
  /** The number of the first entry within the bundle, from 0. */
  first: number
  count: number
  /** The times of the first and the last entry. */
  from: string
  to: string
}

/** A line that is not a whole record: a part of a record, an entry whose time is before that of the previous entry, or an invalid entry. */
export interface OtherEntry {
  /** The number of the entry within the bundle, from 0. */
  first: number
  bytes: Uint8Array
}

/** The stored text of a bundle and of its hash tile. */
export interface BundleText {
  bundle: Uint8Array
  hashes: Uint8Array
}

/** A bundle with canonical text whose leaf hashes equal the hash tile's lines. */
export interface CheckedBundle {
  /** The hash of the tile. */
  root: Hash
  /** The entries, in order. */
  parts: (PlainRun | OtherEntry)[]
  /** The fingerprint of the identifier of each entry, two words each; unset for an {@link OtherEntry}. */
  ids: Uint32Array
  /** The bundle's hashes in each second tree, in the order of the given algorithms; absent if the caller gave none. */
  trees?: TreeBundle[]
  /** The bundle's text, if the caller requested it. */
  text?: BundleText
}

/** The words of the fingerprints of a bundle. */
export const IDS: number = 2 * TILE_WIDTH

/** Checks one bundle after another. */
export class BundleCheck {
  readonly #headers: HeaderReader
  readonly #hashers: readonly TreeHasher[]

  /** @param algorithms the algorithms of the second trees to compute */
  constructor(key: FingerprintKey, algorithms: readonly TreeAlgorithm[] = []) {
    this.#headers = new HeaderReader(key)
    this.#hashers = algorithms.map((algorithm) => treeHasher(algorithm))
  }

  /**
   * Checks the stored text of a full bundle and of its hash tile, and writes the fingerprints to `ids`. Returns undefined when anything in
   * these texts is wrong. Compares the bundle with `trees`, its hash tile in each second tree, and returns the differences.
   */
  text(
    bundle: Uint8Array,
    hashes: Uint8Array,
    ids: Uint32Array = new Uint32Array(IDS),
    trees: readonly (Uint8Array | undefined)[] = [],
  ): CheckedBundle | undefined {
    let content: BundleContent
    try {
      content = nativeKernel.readBundle(bundle, TILE_WIDTH)
    } catch {
      // The walk parses the bundle again, and reports the error.
      return undefined
    }
    const checked = this.#checked(content, hashes, ids)
    if (checked === undefined || this.#hashers.length === 0) return checked
    const { bytes, offsets } = content
    const entry = (i: number): Uint8Array => bytes.subarray(offsets[i], offsets[i + 1])
    return { ...checked, trees: this.#hashers.map((hasher, i) => treeBundle(entry, hasher, trees[i])) }
  }

  /**
   * Checks the entries of a bundle and the hashes of its tile. Returns undefined unless both are full and
   * valid.
   */
  read(entries: readonly Uint8Array[] = [], hashes: readonly Hash[] = []): CheckedBundle | undefined {
    if (entries.length !== TILE_WIDTH || hashes.length !== TILE_WIDTH) return undefined
    const bytes = nativeCodec.concat(...entries)
    const offsets = new Uint32Array(TILE_WIDTH + 1)
    for (const [i, entry] of entries.entries()) offsets[i + 1] = offsets[i]! + entry.length
    const leaves = nativeKernel.hashLeaves(bytes, offsets)
    return this.#checked(
      { bytes, offsets, leaves },
      nativeCodec.asciiEncode(`${hashes.join('\n')}\n`),
      new Uint32Array(IDS),
    )
  }

  /** Returns undefined unless the leaf hashes equal the lines of `hashes`, the text of the hash tile. */
  #checked(content: BundleContent, hashes: Uint8Array, ids: Uint32Array): CheckedBundle | undefined {
    const { leaves } = content
    if (!equalBytes(nativeKernel.hashLines(leaves), hashes)) return undefined
    const parts = this.#parts(content, ids)
    return { root: nativeCodec.base64Encode(nativeKernel.rootOf(leaves)), parts, ids }
  }

  #parts({ bytes, offsets }: BundleContent, ids: Uint32Array): (PlainRun | OtherEntry)[] {
    const headers = this.#headers
    const parts: (PlainRun | OtherEntry)[] = []
    let run: PlainRun | undefined
    let rank = 0
    let time = 0
    const endRun = (): void => {
      if (run !== undefined) run.to = timeAt(bytes, time)
      run = undefined
    }
    for (let i = 0; i < TILE_WIDTH; i++) {
      const from = offsets[i]!
      const to = offsets[i + 1]!
      if (!headers.read(bytes, from, to, ids, 2 * i) || (run !== undefined && headers.rank < rank)) {
        endRun()
        parts.push({ first: i, bytes: Uint8Array.prototype.slice.call(bytes, from, to) })
        continue
      }
      rank = headers.rank
      time = headers.time
      if (run !== undefined) run.count += 1
      else parts.push((run = { first: i, count: 1, from: timeAt(bytes, time), to: '' }))
    }
    endRun()
    return parts
  }
}

function timeAt(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + TIME_LENGTH))
}

/** Returns the bytes of a result that depend on the content of its bundle. */
export function sizeOf({ parts, text }: CheckedBundle): number {
  let size = text === undefined ? 0 : text.bundle.length + text.hashes.length
  for (const part of parts) if ('bytes' in part) size += part.bytes.length
  return size
}
