/** Reads a log's checkpoint, hash tiles and entry bundles from a server or from files. */
import type { Hash, Hasher } from '@service-fs/tlog/hash'
import { subtreeRoot } from '@service-fs/tlog/proof'
import { TILE_WIDTH, storedPath, tilePath, type Tile } from '@service-fs/tlog/tile'
import { bundleFromBinary, hashTileFromBinary, parseBundle, parseHashTile } from '@service-fs/tlog/tile-text'
import { parseCheckpointText } from '@service-fs/tlog/checkpoint'
import { parseNote } from '@service-fs/tlog/note'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'
import type { Connection } from './http.ts'
import type { LedgerFiles } from './ledger-files.ts'
import { nativeCodec, nativeHasher } from '@service-fs/native/native'
import { parseTailName } from '@service-fs/format/tail-text'
import { parseTailFile, tailLineAt, tailPath, type LoadedTail } from './tail.ts'

/** The data of a log (c2sp.org/tlog-tiles). The returned data is not verified. */
export interface LogSource {
  /** Returns the name of a tile in messages. */
  name(tile: Tile): string
  /** Reads the newest checkpoint, a signed note. @throws ClientError `not-found`, `connection`, `malformed`, `file` */
  checkpoint(): Promise<string>
  /** Reads the first `width` hashes of a tile, in base64. @throws ClientError like `checkpoint` */
  hashTile(level: number, index: number, width: number): Promise<Hash[]>
  /** Reads the first `width` entries of an entry bundle. @throws ClientError like `checkpoint` */
  bundle(index: number, width: number): Promise<Uint8Array[]>
}

/** The maximum size of a checkpoint. A signed checkpoint takes a few hundred bytes, and each cosignature a few thousand at most. */
const MAX_CHECKPOINT_BYTES = 1024 * 1024
/** The maximum size of a bundle: 256 entries of 65,535 bytes, each preceded by its 2-byte length. */
const MAX_BUNDLE_BYTES = TILE_WIDTH * 65_537

/** Returns a log served over HTTP by the routes of tlog-tiles. */
export function httpSource(connection: Connection): LogSource {
  return {
    name: (tile) => connection.url + tilePath(tile),
    checkpoint: () => connection.askText('checkpoint', { limit: MAX_CHECKPOINT_BYTES }),
    async hashTile(level, index, width) {
      return orFull(width, async (asked) => {
        const path = tilePath({ level, index, width: asked })
        const { body } = await connection.ask(path, { limit: TILE_WIDTH * 32 })
        return wellFormed(path, () => hashTileFromBinary(body, asked, nativeCodec))
      })
    },
    async bundle(index, width) {
      return orFull(width, async (asked) => {
        const path = tilePath({ level: 'entries', index, width: asked })
        const { body } = await connection.ask(path, { limit: MAX_BUNDLE_BYTES })
        return wellFormed(path, () => bundleFromBinary(body, asked))
      })
    },
  }
}

/** Reads a partial tile, or its full tile: a static host may delete a partial tile once the full one exists (tlog-tiles, "Partial Tiles"). */
async function orFull<T>(width: number, ask: (width: number) => Promise<T[]>): Promise<T[]> {
  try {
    return await ask(width)
  } catch (error) {
    if (width === TILE_WIDTH || !(error instanceof ClientError) || error.status !== 404) throw error
    const full = await ask(TILE_WIDTH).catch(() => undefined)
    if (full === undefined) throw error
    return full.slice(0, width)
  }
}

function wellFormed<T>(path: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw new ClientError('malformed', `${path}: ${messageOf(error)}`)
  }
}

/** Reads the hashes of a tile's file. Resolves to undefined when there is no such file. @throws ClientError `malformed`, `file` */
export async function readStoredTile(files: LedgerFiles, tile: Tile): Promise<Hash[] | undefined> {
  const path = storedPath(tile)
  const bytes = await files.read(path)
  return bytes && wellFormed(path, () => parseHashTile(bytes.toString('latin1'), tile.width))
}

/** Reads the entries of a bundle's file. Resolves to undefined when there is no such file. @throws ClientError `malformed`, `file` */
export async function readStoredBundle(files: LedgerFiles, tile: Tile): Promise<Uint8Array[] | undefined> {
  const path = storedPath(tile)
  // Decode as latin1, which maps each byte to one character, so that the parser sees every byte that is not base64. Keep no reference to
  // the bytes: a bundle may have 22 MiB.
  const text = (await files.read(path))?.toString('latin1')
  if (text === undefined) return undefined
  const lines = wellFormed(path, () => parseBundle(text, tile.width))
  return lines.map((line) => Buffer.from(line, 'base64'))
}

/** Returns the index of the first entry of each file in `tail/`, in order. */
export async function tailStarts(files: LedgerFiles): Promise<number[]> {
  const listed = (await files.list('tail')).filter(({ kind }) => kind === 'file')
  const found = listed.map(({ name }) => parseTailName(name))
  return found.filter((start) => start !== undefined).sort((a, b) => a - b)
}

/** Reads one tail file. Resolves to undefined when it was removed because its entries were sealed. */
export async function loadTail(files: LedgerFiles, start: number): Promise<LoadedTail | undefined> {
  const bytes = await files.read(tailPath(start))
  return bytes && parseTailFile(start, bytes, nativeCodec)
}

/** The tail at one moment: the index of the first entry of each file, and the newest file. */
export interface TailNow {
  starts: number[]
  newest: LoadedTail | undefined
}

/**
 * Reads the tail of a ledger that may be in use. A daemon may replace a listed file by a newer file; in that case, lists the files again.
 */
export async function tailNow(files: LedgerFiles): Promise<TailNow> {
  for (;;) {
    const starts = await tailStarts(files)
    const last = starts.at(-1)
    if (last === undefined) return { starts, newest: undefined }
    const newest = await loadTail(files, last)
    if (newest !== undefined) return { starts, newest }
  }
}

/**
 * Returns a log in the files of a ledger (full tiles, and a tail) or of an export (full and partial tiles). Hashes that are not stored are
 * computed: leaf hashes from entries, upper hashes from the full tiles below. The newest checkpoint may be in the tail.
 */
export function filesSource(files: LedgerFiles, hasher: Hasher = nativeHasher): LogSource {
  return new FilesSource(files, hasher)
}

class FilesSource implements LogSource {
  readonly #files: LedgerFiles
  readonly #hasher: Hasher
  #starts: number[] | undefined
  #loaded: LoadedTail | undefined

  constructor(files: LedgerFiles, hasher: Hasher) {
    this.#files = files
    this.#hasher = hasher
  }

  name(tile: Tile): string {
    return `${this.#files.place}/${storedPath(tile)}`
  }

  async checkpoint(): Promise<string> {
    const cell = await this.#files.read('checkpoint')
    const tail = await tailNow(this.#files)
    this.#starts = tail.starts
    this.#loaded = tail.newest
    const newest = tail.newest?.commits.at(-1)
    if (cell === undefined && newest === undefined)
      throw new ClientError('not-found', `${this.#files.place}: no checkpoint`)
    if (cell === undefined) return newest?.note ?? ''
    const text = wellFormed('checkpoint', () => nativeCodec.utf8Decode(cell))
    if (newest === undefined) return text
    const { size } = wellFormed('checkpoint', () => parseCheckpointText(parseNote(text).text))
    return size >= newest.size ? text : newest.note
  }

  async hashTile(level: number, index: number, width: number): Promise<Hash[]> {
    const stored = await this.#stored(readStoredTile, level, index, width)
    if (stored !== undefined) return stored
    if (level === 0) return (await this.bundle(index, width)).map((entry) => this.#hasher.leaf(entry))
    const hashes: Hash[] = []
    for (let i = 0; i < width; i++) {
      hashes.push(
        subtreeRoot(await this.hashTile(level - 1, index * TILE_WIDTH + i, TILE_WIDTH), this.#hasher),
      )
    }
    return hashes
  }

  async bundle(index: number, width: number): Promise<Uint8Array[]> {
    const stored = await this.#stored(readStoredBundle, 'entries', index, width)
    if (stored !== undefined) return stored
    try {
      const entries: Uint8Array[] = []
      for (let i = index * TILE_WIDTH; entries.length < width; i++) entries.push(await this.#tailEntry(i))
      return entries
    } catch (error) {
      // A daemon that uses the ledger removes a tail file after it has sealed its entries.
      const sealed = await this.#stored(readStoredBundle, 'entries', index, width)
      if (sealed === undefined) throw error
      return sealed
    }
  }

  /** Reads the first `width` items of the full tile's file, or the partial tile's file of that width. */
  async #stored<T>(
    read: (files: LedgerFiles, tile: Tile) => Promise<T[] | undefined>,
    level: Tile['level'],
    index: number,
    width: number,
  ): Promise<T[] | undefined> {
    const full = await read(this.#files, { level, index, width: TILE_WIDTH })
    if (full !== undefined || width === TILE_WIDTH) return full?.slice(0, width)
    return read(this.#files, { level, index, width })
  }

  async #tailEntry(index: number): Promise<Uint8Array> {
    this.#starts ??= await tailStarts(this.#files)
    const start = this.#starts.findLast((candidate) => candidate <= index)
    const tail = start === undefined ? undefined : await this.#tail(start)
    const line = tail && tailLineAt(tail, index)
    if (line === undefined)
      throw new ClientError(
        'not-found',
        `${this.#files.place}: expected entry ${index} in a tile or a tail file, found it in neither`,
      )
    return Buffer.from(line, 'base64')
  }

  async #tail(start: number): Promise<LoadedTail | undefined> {
    if (this.#loaded?.start !== start) this.#loaded = await loadTail(this.#files, start)
    return this.#loaded
  }
}
