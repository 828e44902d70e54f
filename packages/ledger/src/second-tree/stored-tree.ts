/** The files of a second tree: writes them, and reads them after a restart to continue the tree. */
import { formatCheckpointText, openCheckpoint, type RootForm } from '@service-fs/tlog/checkpoint'
import { TlogError } from '@service-fs/tlog/errors'
import {
  foldHashes,
  HashTree,
  rootForm,
  tileFromLines,
  tileLines,
  type TreeHash,
} from '@service-fs/tlog/hash-tree'
import { divPow2 } from '@service-fs/tlog/math'
import { signNote, type Signer, type Verifier } from '@service-fs/tlog/note'
import { TILE_HEIGHT, TILE_WIDTH } from '@service-fs/tlog/tile'
import type { StorageCapability } from '@service-fs/storage/capability'
import type { Runtime } from '../runtime.ts'
import type { Pacer } from '../scrub/pacer.ts'

/** A full hash tile of a second tree. */
export interface FullTile {
  readonly level: number
  readonly index: number
  readonly hashes: Uint8Array
}

export interface StoredTreeParts {
  /** The origin of the tree, which is also the name of its key. */
  readonly origin: string
  readonly hash: TreeHash
  /** The storage of the tree's folder, whose tiles have hashes of this size. */
  readonly storage: StorageCapability
  readonly signer: Signer
  /** Verifies the signer's signatures. */
  readonly verifier: Verifier
  readonly runtime: Runtime
}

export class StoredTree {
  readonly #parts: StoredTreeParts
  readonly #roots: RootForm

  constructor(parts: StoredTreeParts) {
    this.#parts = parts
    this.#roots = rootForm(parts.hash)
  }

  /** Seals the tree's origin and its key. @throws StorageError `conflict` when the folder has another origin or key */
  async identify(): Promise<void> {
    const { storage, runtime, origin, signer } = this.#parts
    const { codec } = runtime
    await storage.seal({ kind: 'origin' }, codec.utf8Encode(`${origin}\n`))
    await storage.seal({ kind: 'vkey', name: 'ed25519' }, codec.utf8Encode(`${signer.vkey}\n`))
  }

  async seal({ level, index, hashes }: FullTile): Promise<void> {
    const { storage, hash, runtime } = this.#parts
    await storage.seal({ kind: 'tile', level, index }, tileLines(hashes, hash.bytes, runtime.codec))
  }

  /** Signs and publishes the tree's checkpoint. Every full tile of the tree must be sealed. */
  async publish(size: number, root: string): Promise<void> {
    const { storage, signer, origin, runtime } = this.#parts
    const text = formatCheckpointText({ origin, size, root, extensions: [] }, this.#roots)
    const note = await signNote(text, [signer])
    await storage.publish(runtime.codec.utf8Encode(note))
  }

  /**
   * Returns the size and the root hash in the checkpoint of the folder; undefined when the checkpoint is missing or this key did not sign
   * it.
   * @throws StorageError
   */
  async published(): Promise<{ size: number; root: string } | undefined> {
    const { storage, verifier, origin, runtime } = this.#parts
    const bytes = await storage.read({ kind: 'checkpoint' })
    if (bytes === undefined) return undefined
    try {
      return openCheckpoint(runtime.codec.utf8Decode(bytes), [verifier], origin, this.#roots).checkpoint
    } catch (error) {
      if (error instanceof TlogError) return undefined
      throw error
    }
  }

  /**
   * Returns the tree over the full bundles of `size` entries, from the hashes of its full tiles; undefined when a tile that it needs is
   * missing or malformed. The tree is not verified: compare its root hash with a signed root hash.
   */
  async bundles(size: number, pacer: Pacer): Promise<HashTree | undefined> {
    const { hash } = this.#parts
    const partials = [new Uint8Array()]
    for (let level = 1; divPow2(size, TILE_HEIGHT * level) > 0; level++) {
      const count = divPow2(size, TILE_HEIGHT * level)
      const width = count % TILE_WIDTH
      const partial = new Uint8Array(width * hash.bytes)
      for (let i = 0; i < width; i++) {
        const tile = await this.#tile(level - 1, count - width + i)
        if (tile === undefined) return undefined
        await pacer.read(tile.length)
        partial.set(await pacer.compute(() => foldHashes(tile, hash)), i * hash.bytes)
      }
      partials.push(partial)
    }
    return new HashTree(hash, size - (size % TILE_WIDTH), partials)
  }

  async #tile(level: number, index: number): Promise<Uint8Array | undefined> {
    const { storage, hash, runtime } = this.#parts
    const text = await storage.read({ kind: 'tile', level, index })
    if (text === undefined) return undefined
    try {
      return tileFromLines(text, hash.bytes, TILE_WIDTH, runtime.codec)
    } catch (error) {
      if (error instanceof TlogError) return undefined
      throw error
    }
  }
}
