/** Checks a full entry bundle and its hash tile in one pass. A bundle in which anything is wrong is left to `TreeWalk` and `RecordCheck`. */
import type { Hash } from '@service-fs/tlog/hash'
import { TILE_WIDTH } from '@service-fs/tlog/tile'
import { MAX_ENTRY_SIZE } from '@service-fs/tlog/tile-text'
import { TIME_LENGTH } from '@service-fs/format/time'
import { nativeCodec, nativeHasher } from '@service-fs/native/native'
import { decodeLines, isHashLines, roomForLines, type DecodedLines } from './base64-lines.ts'
import type { FingerprintKey } from './fingerprint.ts'
import { HeaderReader } from './plain-entry.ts'

/** Consecutive entries of a bundle that are whole records, with times in order. */
export interface PlainRun {
  /** The number of the first entry within the bundle, from 0. */
  first: number
  count: number
  /** The times of the first and the last entry. */
  from: string
  to: string
}

/** An entry that is not a whole record, or goes back in time, or is not an entry. */
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

/** A bundle whose text is canonical and whose leaf hashes are those of the hash tile. */
export interface CheckedBundle {
  /** The hash of the tile. */
  root: Hash
  /** The entries, in order. */
  parts: (PlainRun | OtherEntry)[]
  /** The fingerprint of the identifier of each entry, two words each; unset for an {@link OtherEntry}. */
  ids: Uint32Array
  /** Its text, if the caller asked for it. */
  text?: BundleText
}

const HASH_SIZE = 32

/** Checks one bundle after another. */
export class BundleCheck {
  readonly #headers: HeaderReader
  #lines: DecodedLines = roomForLines(TILE_WIDTH, 1 << 16)
  readonly #hashes = new Uint8Array(TILE_WIDTH * HASH_SIZE)

  constructor(key: FingerprintKey) {
    this.#headers = new HeaderReader(key)
  }

  /** Checks the stored text of a full bundle and of its hash tile. Returns undefined when anything in them is wrong. */
  text(bundle: Uint8Array, hashes: Uint8Array): CheckedBundle | undefined {
    this.#lines = roomForLines(TILE_WIDTH, bundle.length, this.#lines)
    if (!decodeLines(bundle, TILE_WIDTH, MAX_ENTRY_SIZE, this.#lines)) return undefined
    hashLeaves(this.#lines, this.#hashes)
    if (!isHashLines(hashes, this.#hashes, TILE_WIDTH)) return undefined
    return this.#checked()
  }

  /** Checks the entries of a bundle and the hashes of its tile. Returns undefined unless both are full and nothing in them is wrong. */
  read(entries: readonly Uint8Array[] = [], hashes: readonly Hash[] = []): CheckedBundle | undefined {
    if (entries.length !== TILE_WIDTH || hashes.length !== TILE_WIDTH) return undefined
    const length = entries.reduce((sum, entry) => sum + entry.length, 0)
    const { bytes, starts } = (this.#lines = roomForLines(TILE_WIDTH, 2 * length, this.#lines))
    let at = 0
    for (const [i, entry] of entries.entries()) {
      starts[i] = at
      bytes[at] = 0
      bytes.set(entry, at + 1)
      at += 1 + entry.length
    }
    starts[TILE_WIDTH] = at
    hashLeaves(this.#lines, this.#hashes)
    if (!isHashLines(nativeCodec.asciiEncode(`${hashes.join('\n')}\n`), this.#hashes, TILE_WIDTH))
      return undefined
    return this.#checked()
  }

  #checked(): CheckedBundle {
    const ids = new Uint32Array(2 * TILE_WIDTH)
    const parts = this.#parts(ids)
    return { root: foldTile(this.#hashes), parts, ids }
  }

  #parts(ids: Uint32Array): (PlainRun | OtherEntry)[] {
    const { bytes, starts } = this.#lines
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
      const from = starts[i]! + 1
      const to = starts[i + 1]!
      if (!headers.read(bytes, from, to, ids, 2 * i) || (run !== undefined && headers.rank < rank)) {
        endRun()
        parts.push({ first: i, bytes: bytes.slice(from, to) })
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

/** Writes the leaf hash of each line into `hashes`. */
function hashLeaves({ bytes, starts }: DecodedLines, hashes: Uint8Array): void {
  for (let i = 0; i < TILE_WIDTH; i++)
    hashes.set(nativeHasher.sha256(bytes.subarray(starts[i], starts[i + 1])), i * HASH_SIZE)
}

const pair = new Uint8Array(1 + 2 * HASH_SIZE)
pair[0] = 1

/** Returns the hash of a full tile (RFC 6962, section 2.1). Overwrites its hashes. */
function foldTile(hashes: Uint8Array): Hash {
  for (let count = TILE_WIDTH; count > 1; count /= 2) {
    for (let i = 0; i < count; i += 2) {
      pair.set(hashes.subarray(i * HASH_SIZE, (i + 2) * HASH_SIZE), 1)
      hashes.set(nativeHasher.sha256(pair), (i / 2) * HASH_SIZE)
    }
  }
  return nativeCodec.base64Encode(hashes.subarray(0, HASH_SIZE))
}
