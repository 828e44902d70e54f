/** Writes a copy of a ledger during its verification: an export, or a ledger that a daemon can append to. */
import { readmeText } from '@service-fs/format/readme'
import { VERIFY_SH } from '@service-fs/format/verify-shell'
import { formatCommit, formatEdge } from '@service-fs/format/tail-text'
import { Edge } from '@service-fs/tlog/edge'
import type { Hash } from '@service-fs/tlog/hash'
import { subtreeRoot } from '@service-fs/tlog/proof'
import { TILE_HEIGHT, TILE_WIDTH, storedPath, type Tile } from '@service-fs/tlog/tile'
import { formatBundle, formatHashTile } from '@service-fs/tlog/tile-text'
import { nativeCodec, nativeHasher } from '@service-fs/native/native'
import type { BundleText } from '@service-fs/client/bundle-check'
import { ClientError } from '@service-fs/client/errors'
import { LOG_KEY } from '@service-fs/client/key-files'
import type { Output } from './output.ts'
import { tailPath } from '@service-fs/client/tail'
import { Trust } from '@service-fs/client/trust'
import type { CheckedLedger, LedgerCopy } from '@service-fs/client/verify'
import { appendSubtree } from '@service-fs/client/walk'

/** The modes of files that never change, and of files that a daemon replaces. */
const SEALED = 0o444
const LIVE = 0o600

/**
 * Writes an export: full tiles, the partial tiles of the checkpoint's size, the checkpoint, and no tail. Exports of the same ledger are
 * identical.
 */
export function exportCopy(output: Output, folder = ''): LedgerCopy {
  const put = putter(output, folder)
  return {
    stored: (index, text) => putStored(put, index, text),
    bundle: (index, entries) =>
      putTile(put, { level: 'entries', index, width: entries.length }, base64Lines(entries)),
    hashTile: (level, index, hashes) => putTile(put, { level, index, width: hashes.length }, hashes),
    secondTree: (path, bytes) => put(path, bytes, SEALED),
    async end(ledger) {
      await putIdentity(put, ledger)
      await put('checkpoint', nativeCodec.utf8Encode(ledger.note), SEALED)
    },
    audit: () => exportCopy(output, 'audit/'),
  }
}

/**
 * Writes a ledger in a daemon's form: full tiles, and one tail file with the right edge and one commit of the newest checkpoint. A tail
 * file must hold at least one entry, so this tail file begins with the last bundle even if that bundle is full.
 */
export function ledgerCopy(output: Output, folder = ''): LedgerCopy {
  const put = putter(output, folder)
  /**
   * The base64 lines or the text of the last bundle; the right edge at the start of that bundle; and the right edge after the full bundles.
   */
  let lines: readonly string[] | Uint8Array = []
  let start = new Edge()
  let edge = start
  const next = (root: Hash): void => {
    edge = appendSubtree(edge, TILE_HEIGHT, root, nativeHasher)
  }
  return {
    async stored(index, text, root) {
      await putStored(put, index, text)
      lines = text.bundle
      start = edge
      next(root)
    },
    async bundle(index, entries) {
      lines = base64Lines(entries)
      if (lines.length === TILE_WIDTH)
        await putTile(put, { level: 'entries', index, width: TILE_WIDTH }, lines)
    },
    async hashTile(level, index, hashes) {
      const isFull = hashes.length === TILE_WIDTH
      if (isFull) await putTile(put, { level, index, width: TILE_WIDTH }, hashes)
      if (level === 0) start = edge
      if (level === 0 && isFull) next(subtreeRoot(hashes, nativeHasher))
    },
    secondTree: (path, bytes) => put(path, bytes, path.endsWith('/checkpoint') ? LIVE : SEALED),
    async end(ledger) {
      if (!ledger.keys.has(LOG_KEY))
        throw new ClientError(
          'malformed',
          `${folder}keys/${LOG_KEY}: expected a file with the log's key, found none`,
        )
      await putIdentity(put, ledger)
      const { size, note } = ledger
      const last = lines instanceof Uint8Array ? linesIn(lines) : lines
      if (size > 0) await put(tailPath(start.size), tailText(start.hashes(), last, note), LIVE)
      await put('checkpoint', nativeCodec.utf8Encode(note), LIVE)
    },
    audit: () => ledgerCopy(output, 'audit/'),
  }
}

/** Returns a tail file with the right edge at its start, and one commit. */
export function tailText(start: readonly Hash[], lines: readonly string[], note: string): Uint8Array {
  const edge = nativeCodec.asciiEncode(formatEdge(start))
  return nativeCodec.concat(edge, formatCommit(lines, note, nativeCodec))
}

type Put = Output['put']

function putter(output: Output, folder: string): Put {
  return (path, bytes, mode) => output.put(folder + path, bytes, mode)
}

function putTile(put: Put, tile: Tile, lines: readonly string[]): Promise<void> {
  const text = tile.level === 'entries' ? formatBundle(lines) : formatHashTile(lines)
  return put(storedPath(tile), nativeCodec.asciiEncode(text), SEALED)
}

/** Writes a full bundle and its hash tile with their stored bytes. */
async function putStored(put: Put, index: number, { bundle, hashes }: BundleText): Promise<void> {
  await put(storedPath({ level: 'entries', index, width: TILE_WIDTH }), bundle, SEALED)
  await put(storedPath({ level: 0, index, width: TILE_WIDTH }), hashes, SEALED)
}

function linesIn(text: Uint8Array): string[] {
  return new TextDecoder('latin1').decode(text).slice(0, -1).split('\n')
}

/** Returns the lines of entries in a bundle or a commit, without line feeds. */
export function base64Lines(entries: readonly Uint8Array[]): string[] {
  return entries.map((entry) => nativeCodec.base64Encode(entry))
}

/** Writes the files that never change. Checks that the keys signed the checkpoint. @throws ClientError `false` */
async function putIdentity(put: Put, { origin, keys, note }: CheckedLedger): Promise<void> {
  Trust.shown([...keys.values()], 'keys/').open(note, origin)
  await put('README.txt', nativeCodec.utf8Encode(readmeText(origin)), SEALED)
  await put('verify.sh', nativeCodec.utf8Encode(VERIFY_SH), SEALED)
  await put('origin', nativeCodec.utf8Encode(`${origin}\n`), SEALED)
  for (const [name, vkey] of keys) await put(`keys/${name}`, nativeCodec.utf8Encode(`${vkey}\n`), SEALED)
}
