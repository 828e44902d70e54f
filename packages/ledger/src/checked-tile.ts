/** Sealed hash tiles in memory: in binary if a kernel hashes them, otherwise as text. */
import type { Codec } from '@service-fs/tlog/codec'
import { HASH_LENGTH, HASH_SIZE, type Hash, type Hasher } from '@service-fs/tlog/hash'
import type { Kernel } from '@service-fs/tlog/kernel/kernel'
import { subtreeRoot } from '@service-fs/tlog/proof'
import { hashTileToBinary } from '@service-fs/tlog/tile-text'

/** The bytes of memory that a tile takes besides its hashes. */
const OBJECT_BYTES = 256
/** The bytes of memory that a hash takes as a string. */
const STRING_BYTES = 64

/** A tile of 256 hashes. Its arrays must not be changed. */
export interface CheckedTile {
  /** The bytes of memory that the tile takes. */
  readonly weight: number
  /** Returns the hash at position `at`, from 0. */
  hash(at: number): Hash
  hashes(): readonly Hash[]
  /** Returns the hashes in the binary form of tlog-tiles. */
  bytes(): Uint8Array
  /** Returns the root hash over the tile. */
  root(): Hash
}

export class BinaryTile implements CheckedTile {
  readonly #bytes: Uint8Array
  readonly #kernel: Kernel
  readonly #codec: Codec

  constructor(bytes: Uint8Array, kernel: Kernel, codec: Codec) {
    this.#bytes = bytes
    this.#kernel = kernel
    this.#codec = codec
  }

  get weight(): number {
    return this.#bytes.length + OBJECT_BYTES
  }

  hash(at: number): Hash {
    return this.#codec.base64Encode(this.#bytes.subarray(at * HASH_SIZE, (at + 1) * HASH_SIZE))
  }

  hashes(): Hash[] {
    const lines = this.#codec.utf8Decode(this.#kernel.hashLines(this.#bytes))
    const hashes: Hash[] = []
    for (let at = 0; at < lines.length; at += HASH_LENGTH + 1) hashes.push(lines.slice(at, at + HASH_LENGTH))
    return hashes
  }

  bytes(): Uint8Array {
    return this.#bytes
  }

  root(): Hash {
    return this.#codec.base64Encode(this.#kernel.rootOf(this.#bytes))
  }
}

export class TextTile implements CheckedTile {
  readonly #hashes: readonly Hash[]
  readonly #hasher: Hasher
  readonly #codec: Codec

  constructor(hashes: readonly Hash[], hasher: Hasher, codec: Codec) {
    this.#hashes = hashes
    this.#hasher = hasher
    this.#codec = codec
  }

  get weight(): number {
    return this.#hashes.length * STRING_BYTES + OBJECT_BYTES
  }

  hash(at: number): Hash {
    return this.#hashes[at] as Hash
  }

  hashes(): readonly Hash[] {
    return this.#hashes
  }

  bytes(): Uint8Array {
    return hashTileToBinary(this.#hashes, this.#codec)
  }

  root(): Hash {
    return subtreeRoot(this.#hashes, this.#hasher)
  }
}
