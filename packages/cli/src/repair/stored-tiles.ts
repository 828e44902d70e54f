/** Reads the full tiles and bundles of the ledger under repair, as they are. */
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { asFileError } from '@service-fs/client/errors'
import { directoryFiles } from '@service-fs/client/ledger-files'
import { filesSource, type LogSource } from '@service-fs/client/source'
import { codeOf } from '@service-fs/format/errors'
import { nativeCodec, nativeKernel } from '@service-fs/native/native'
import { maxBytes } from '@service-fs/storage/object-name'
import { TlogError } from '@service-fs/tlog/errors'
import { HASH_SIZE, type Hash } from '@service-fs/tlog/hash'
import type { PackedEntries } from '@service-fs/tlog/kernel/kernel'
import { TILE_WIDTH, storedPath, type Tile } from '@service-fs/tlog/tile'

/** 256 hashes in binary, and the hash over them. */
export interface Hashes {
  bytes: Uint8Array
  root: Hash
}

/** The entries of a bundle, and their leaf hashes. */
export interface BundleHashes extends Hashes {
  entries: PackedEntries
}

/** The problem with a stored file. */
interface Problem {
  root: undefined
  problem: string
  isMissing: boolean
}

/** A stored file: the hashes that its lines yield, or the problem with the file. */
export type Stored = Hashes | Problem
export type StoredBundle = BundleHashes | Problem

/** The content at the path of a file: its bytes, or a problem. */
export type Found = Uint8Array | { problem: string; isMissing: boolean }

const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
/** Errors of open(2) when the path has no file, or an object of another type. */
const MISSING: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR'])
const OTHER: ReadonlySet<string> = new Set(['ELOOP', 'EMLINK', 'ENXIO', 'EISDIR'])

export function hashesOf(bytes: Uint8Array): Hashes {
  return { bytes, root: nativeCodec.base64Encode(nativeKernel.rootOf(bytes)) }
}

/** Returns the entries in the text of a bundle, and their hashes. @throws TlogError */
export function bundleHashes(text: Uint8Array): BundleHashes {
  const { leaves, ...entries } = nativeKernel.readBundle(text, TILE_WIDTH)
  return { ...hashesOf(leaves), entries }
}

/** Returns the hash at position `i` of a tile. */
export function hashAt({ bytes }: Hashes, i: number): Hash {
  return nativeCodec.base64Encode(bytes.subarray(i * HASH_SIZE, (i + 1) * HASH_SIZE))
}

export function tileOf(level: Tile['level'], index: number): Tile {
  return { level, index, width: TILE_WIDTH }
}

/** Reads a regular file, without following a symbolic link. @throws ClientError `file` when it cannot be read for another reason than damage */
export async function readFound(path: string, limit: number): Promise<Found> {
  return asFileError(async () => {
    let file: FileHandle | undefined
    try {
      file = await open(path, FLAGS)
      const stats = await file.stat()
      if (!stats.isFile()) return { problem: 'another file', isMissing: false }
      if (stats.size > limit) return { problem: `${stats.size} bytes`, isMissing: false }
      return await file.readFile()
    } catch (error) {
      const code = codeOf(error) ?? ''
      if (MISSING.has(code)) return { problem: 'nothing', isMissing: true }
      if (OTHER.has(code)) return { problem: 'another file', isMissing: false }
      if (code === 'EIO') return { problem: 'an I/O error', isMissing: false }
      throw error
    } finally {
      await file?.close()
    }
  })
}

export class StoredTiles {
  readonly #dir: string
  /** Reads the entries of the tail, too. */
  readonly #source: LogSource

  constructor(dir: string) {
    this.#dir = dir
    this.#source = filesSource(directoryFiles(dir))
  }

  tile(level: number, index: number): Promise<Stored> {
    return this.#stored(tileOf(level, index), (text) => hashesOf(nativeKernel.readHashTile(text, TILE_WIDTH)))
  }

  bundle(index: number): Promise<StoredBundle> {
    return this.#stored(tileOf('entries', index), bundleHashes)
  }

  /** Returns the entries of a bundle in its file, or in the tail; undefined when neither holds all of them. */
  async entries(index: number): Promise<BundleHashes | undefined> {
    const stored = await this.bundle(index)
    if (stored.root !== undefined) return stored
    const entries = await this.partial(index, TILE_WIDTH)
    if (entries === undefined) return undefined
    const packed = { bytes: nativeCodec.concat(...entries), offsets: new Uint32Array(TILE_WIDTH + 1) }
    for (const [i, entry] of entries.entries())
      packed.offsets[i + 1] = (packed.offsets[i] ?? 0) + entry.length
    return { ...hashesOf(nativeKernel.hashLeaves(packed.bytes, packed.offsets)), entries: packed }
  }

  /** Returns the first `width` entries of a bundle in its file, or in the tail; undefined when neither holds all of them. */
  async partial(index: number, width: number): Promise<Uint8Array[] | undefined> {
    return this.#source.bundle(index, width).catch(() => undefined)
  }

  async #stored<T extends Hashes>(tile: Tile, parse: (text: Uint8Array) => T): Promise<T | Problem> {
    const limit = maxBytes({ kind: tile.level === 'entries' ? 'bundle' : 'tile', level: 0, index: 0 })
    const found = await readFound(join(this.#dir, storedPath(tile)), limit)
    if (!(found instanceof Uint8Array)) return { root: undefined, ...found }
    try {
      return parse(found)
    } catch (error) {
      if (!(error instanceof TlogError)) throw error
      return { root: undefined, problem: 'other text', isMissing: false }
    }
  }
}
