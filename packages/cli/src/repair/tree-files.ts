/** Reads the files of a second tree under repair, as they are. */
import { join } from 'node:path'
import { parseTreeTile } from '@service-fs/client/second-tree/tree-text'
import { treeAlgorithm, type TreeAlgorithm } from '@service-fs/format/tree-binding'
import { nativeCodec } from '@service-fs/native/native'
import { treeHasher } from '@service-fs/native/tree-hasher'
import { maxBytes, MAX_TEXT_BYTES } from '@service-fs/storage/object-name'
import type { Hash } from '@service-fs/tlog/hash'
import { subtreeRoot } from '@service-fs/tlog/proof'
import { storedPath, TILE_WIDTH } from '@service-fs/tlog/tile'
import { readFound, type Found } from './stored-tiles.ts'

export class TreeFiles {
  readonly #folder: string
  readonly #algorithm: TreeAlgorithm

  /** `dir`: the ledger's directory. */
  constructor(dir: string, algorithm: TreeAlgorithm) {
    this.#folder = join(dir, algorithm)
    this.#algorithm = algorithm
  }

  /** Reads the origin, the key or the checkpoint. */
  text(path: string): Promise<Found> {
    return readFound(join(this.#folder, path), MAX_TEXT_BYTES)
  }

  tile(level: number, index: number): Promise<Found> {
    const limit = maxBytes({ kind: 'tile', level, index }, treeAlgorithm(this.#algorithm).bytes)
    return readFound(join(this.#folder, tilePath(level, index)), limit)
  }

  /** Returns the hashes of a tile; undefined when the tile is missing or malformed. */
  async hashes(level: number, index: number): Promise<Hash[] | undefined> {
    const found = await this.tile(level, index)
    return found instanceof Uint8Array ? this.#parsed(found) : undefined
  }

  /** Describes a tile that does not have the right text. */
  problem(found: Found): string {
    if (!(found instanceof Uint8Array)) return found.problem
    const hashes = this.#parsed(found)
    return hashes === undefined
      ? 'other text'
      : `the hash ${subtreeRoot(hashes, treeHasher(this.#algorithm))}`
  }

  #parsed(text: Uint8Array): Hash[] | undefined {
    try {
      return parseTreeTile(text, treeAlgorithm(this.#algorithm).bytes)
    } catch {
      return undefined
    }
  }
}

/** Returns the path of a full tile in the folder of its tree. */
export function tilePath(level: number, index: number): string {
  return storedPath({ level, index, width: TILE_WIDTH })
}

/** Returns the text of a file; undefined when it is missing or no text. */
export function textIn(found: Found): string | undefined {
  try {
    return found instanceof Uint8Array ? nativeCodec.utf8Decode(found) : undefined
  } catch {
    return undefined
  }
}
