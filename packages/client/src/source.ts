/** Where a log's checkpoint, hash tiles and entry bundles come from: a server, or files. */
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

/** A log as tlog-tiles sees it. Nothing that comes from here is to be believed before it is checked. */
export interface LogSource {
  /** What a tile is called here, for messages. */
  name(tile: Tile): string
  /** The newest signed checkpoint. @throws ClientError `not-found`, `connection`, `malformed`, `file` */
  checkpoint(): Promise<string>
  /** A hash tile of exactly `width` hashes. @throws ClientError as above */
  hashTile(level: number, index: number, width: number): Promise<Hash[]>
  /** The first `width` entries of a bundle. @throws ClientError as above */
  bundle(index: number, width: number): Promise<Uint8Array[]>
}

/** A signed checkpoint is a few hundred bytes, with many cosignatures a few thousand each. */
const MAX_CHECKPOINT_BYTES = 1024 * 1024
/** 256 entries of 65,535 bytes behind their lengths. */
const MAX_BUNDLE_BYTES = TILE_WIDTH * 65_537

/** A log over HTTP, by the routes of tlog-tiles ("APIs"). */
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
        return wellFormed(path, () => bundleFromBinary(body, asked, nativeCodec))
      })
    },
  }
}

/** A static host may have removed a partial tile since its tile became full (tlog-tiles, "Partial Tiles"). */
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

/** The hashes in a stored tile's text, or undefined when there is no such file. @throws ClientError `malformed`, `file` */
export async function readStoredTile(files: LedgerFiles, tile: Tile): Promise<Hash[] | undefined> {
  const path = storedPath(tile)
  const bytes = await files.read(path)
  return bytes && wellFormed(path, () => parseHashTile(bytes.toString('latin1'), tile.width))
}

/** The entries in a stored bundle's text, or undefined when there is no such file. @throws ClientError `malformed`, `file` */
export async function readStoredBundle(files: LedgerFiles, tile: Tile): Promise<Uint8Array[] | undefined> {
  const path = storedPath(tile)
  const bytes = await files.read(path)
  if (bytes === undefined) return undefined
  // Each character of a latin1 string is one byte: what is not base64 stays visible as such.
  const lines = wellFormed(path, () => parseBundle(bytes.toString('latin1'), tile.width))
  return lines.map((line) => Buffer.from(line, 'base64'))
}

/** The first entries of the files in `tail/`, in order. */
export async function tailStarts(files: LedgerFiles): Promise<number[]> {
  const listed = (await files.list('tail')).filter(({ kind }) => kind === 'file')
  const found = listed.map(({ name }) => parseTailName(name))
  return found.filter((start) => start !== undefined).sort((a, b) => a - b)
}

/** One tail file, or undefined when it is gone (its entries are sealed then). */
export async function loadTail(files: LedgerFiles, start: number): Promise<LoadedTail | undefined> {
  const bytes = await files.read(tailPath(start))
  return bytes && parseTailFile(start, bytes, nativeCodec)
}

/** The tail as it stands at one moment: the first entries of its files, and the newest of them. */
export interface TailNow {
  starts: number[]
  newest: LoadedTail | undefined
}

/** The tail of a ledger that may be in use: a file that was listed may be gone, for a newer one that holds what it held. */
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
 * A ledger's files (full tiles as text, the rest in the tail) or an export's (partial tiles as files). What is not stored is
 * derived: leaf hashes from entries, upper hashes from the full tiles below. The newest checkpoint is the tail's.
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
    const entries: Uint8Array[] = []
    for (let i = index * TILE_WIDTH; entries.length < width; i++) entries.push(await this.#tailEntry(i))
    return entries
  }

  /** The first `width` of what a file holds: the full tile or the partial one of that width. */
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
        `${this.#files.place}: entry ${index} is in no tile and no tail file`,
      )
    return Buffer.from(line, 'base64')
  }

  async #tail(start: number): Promise<LoadedTail | undefined> {
    if (this.#loaded?.start !== start) this.#loaded = await loadTail(this.#files, start)
    return this.#loaded
  }
}
