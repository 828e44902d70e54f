/** Routes of c2sp.org/tlog-tiles, and the stored text of the same tiles. */
import { parseStoredPath, parseTilePath, tilePath, TILE_WIDTH, type Tile } from '@service-fs/tlog/tile'
import { formatBundle, formatHashTile } from '@service-fs/tlog/tile-text'

import { isRecorded } from './audit.ts'
import type { Answer, Call } from './call.ts'
import { checkpointTag, isUnchanged, tileTag, unchanged } from './conditional.ts'
import { Problem } from './problem.ts'

const IMMUTABLE = 'max-age=31536000, immutable'
const TEXT = 'text/plain; charset=utf-8'

/** GET /checkpoint (tlog-tiles, "Checkpoints"): the signed checkpoint. Caches keep it for at most one second. */
export async function tlogCheckpoint(call: Call): Promise<Answer> {
  const note = call.ledger.checkpoint()
  const [, size, root = ''] = note.split('\n', 3)
  const tag = checkpointTag(Number(size), root)
  const headers = {
    'content-type': TEXT,
    'cache-control': isRecorded(call) ? 'no-store' : 'public, max-age=1',
    etag: tag,
  }
  const shown = { what: { size: Number(size) }, entries: 0 }
  if (isUnchanged(call, tag)) return unchanged(headers, shown, false)
  return { status: 200, headers, body: note, shown }
}

/**
 * GET /tile/…: a tile or an entry bundle in the binary form of the specification, or its stored text if the path ends in
 * `.b64`.
 */
export async function tile(call: Call): Promise<Answer> {
  const path = `tile/${call.params['path'] ?? ''}`
  const isText = path.endsWith('.b64')
  const coordinates = parse(path, isText)
  checkCovered(coordinates, call)
  const { level, index, width } = coordinates
  const shown = { what: { tile: tilePath(coordinates) }, entries: level === 'entries' ? width : 0 }
  const headers: Record<string, string> = {
    'content-type': isText ? TEXT : 'application/octet-stream',
    // A read from a shared cache would not be recorded.
    'cache-control': `${isRecorded(call) ? 'private' : 'public'}, ${IMMUTABLE}`,
  }
  // Binary hashes do not compress; text and entries may.
  const compressible = isText || level === 'entries'
  if (width === TILE_WIDTH) {
    const tag = tileTag(await call.ledger.tileHash(level === 'entries' ? 0 : level, index))
    headers['etag'] = tag
    if (isUnchanged(call, tag)) return unchanged(headers, shown, compressible)
  }
  const body = isText ? await textOf(coordinates, call) : await bytesOf(coordinates, call)
  return { status: 200, headers, body, compressible, shown }
}

function bytesOf({ level, index, width }: Tile, { ledger }: Call): Promise<Uint8Array> {
  return level === 'entries' ? ledger.bundleBytes(index, width) : ledger.tileBytes(level, index, width)
}

async function textOf({ level, index, width }: Tile, { ledger }: Call): Promise<string> {
  if (level === 'entries') return formatBundle(await ledger.bundle(index, width))
  return formatHashTile(await ledger.hashTile(level, index, width))
}

function parse(path: string, isText: boolean): Tile {
  try {
    return isText ? parseStoredPath(path) : parseTilePath(path)
  } catch {
    throw new Problem('not-found', 'path: expected tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>]')
  }
}

/** Checks that the tree has all hashes of a tile, or all entries of a bundle. @throws Problem `not-found` */
function checkCovered(wanted: Tile, call: Call): void {
  const { size } = call.ledger
  const level = wanted.level === 'entries' ? 0 : wanted.level
  const lines = Math.floor(size / 256 ** level)
  if (wanted.index * 256 + wanted.width <= lines) return
  throw new Problem('not-found', `${tilePath(wanted)} is not covered by the checkpoint of size ${size}`, {
    size,
  })
}
