/** Stores the end of a copied tree, below its full tiles, and the checkpoint: as a tail, or as the partial tiles of an export. */
import { chmod, mkdir, open, readdir, rename, rmdir, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { computeFrom } from '@service-fs/client/audit-place'
import { tailStarts } from '@service-fs/client/source'
import type { LedgerFiles } from '@service-fs/client/ledger-files'
import type { TrustedTree } from '@service-fs/client/tree'
import { nativeCodec } from '@service-fs/native/native'
import type { StorageCapability } from '@service-fs/storage/capability'
import { edgeNodes } from '@service-fs/tlog/edge'
import type { Hash } from '@service-fs/tlog/hash'
import { TILE_WIDTH, levelWidth, partialWidth, storedPath, tileCount, type Tile } from '@service-fs/tlog/tile'
import { formatBundle, formatHashTile } from '@service-fs/tlog/tile-text'
import { base64Lines, tailText } from '../copy.ts'
import { syncDirectory } from '../output.ts'
import { asFileError } from '@service-fs/client/errors'

/**
 * Stores the end as a daemon does: one tail file with the right edge and one commit of the newest checkpoint. A tail file must hold at
 * least one entry, so it begins with the last bundle even if that is full.
 */
export async function endWithTail(
  storage: StorageCapability,
  tree: TrustedTree,
  note: string,
): Promise<void> {
  const { size } = tree
  if (size > 0) {
    const bundle = Math.ceil(size / TILE_WIDTH) - 1
    const start = bundle * TILE_WIDTH
    const lines = base64Lines(await tree.bundle(bundle))
    await storage.beginTail(start, size, tailText(await edgeAt(tree, start), lines, note))
  }
  await storage.publish(nativeCodec.utf8Encode(note))
}

/** Returns the right edge of the first `size` entries. */
function edgeAt(tree: TrustedTree, size: number): Promise<Hash[]> {
  const plan = edgeNodes(size).map((node) => [node])
  return computeFrom(tree, plan, tree.size)
}

/**
 * Stores the end as an export does: the partial tiles of the checkpoint's size, and no tail. Then removes the partial
 * tiles of other sizes, whose lines the new tiles contain, so that the result is the same as a new export.
 */
export async function endWithPartialTiles(
  dir: string,
  storage: StorageCapability,
  tree: TrustedTree,
  note: string,
): Promise<void> {
  const kept = new Set<string>()
  for (const [tile, text] of await partialTiles(tree)) {
    const path = storedPath(tile)
    kept.add(path)
    await asFileError(() => writePartial(dir, path, nativeCodec.asciiEncode(text)))
  }
  await storage.publish(nativeCodec.utf8Encode(note))
  await asFileError(async () => {
    await chmod(join(dir, 'checkpoint'), 0o444)
    if (tree.size > 0) await removePartial(dir, 'tile', kept)
  })
}

async function partialTiles(tree: TrustedTree): Promise<[Tile, string][]> {
  const { size } = tree
  const tiles: [Tile, string][] = []
  for (let level = 0; levelWidth(level, size) > 0; level++) {
    const width = partialWidth(level, size)
    if (width === 0) continue
    const index = tileCount(level, size)
    if (level === 0)
      tiles.push([{ level: 'entries', index, width }, formatBundle(base64Lines(await tree.bundle(index)))])
    tiles.push([{ level, index, width }, formatHashTile(await tree.hashTile(level, index))])
  }
  return tiles
}

/** Writes a partial tile durably. A file that an interrupted run left at this path is replaced by the verified lines. */
async function writePartial(dir: string, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = join(dir, 'tmp', 'partial')
  const file = await open(temporary, 'w', 0o600)
  try {
    await file.writeFile(bytes)
    await file.chmod(0o444)
    await file.sync()
  } finally {
    await file.close()
  }
  await mkdir(join(dir, dirname(path)), { recursive: true, mode: 0o700 })
  await rename(temporary, join(dir, path))
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    await syncDirectory(join(dir, folder))
    if (folder === '.') return
  }
}

/** Removes the partial tiles below a folder that are not in `kept`. */
async function removePartial(dir: string, folder: string, kept: ReadonlySet<string>): Promise<void> {
  for (const entry of await readdir(join(dir, folder), { withFileTypes: true })) {
    if (!entry.isDirectory()) continue
    const path = `${folder}/${entry.name}`
    if (!entry.name.endsWith('.p')) {
      await removePartial(dir, path, kept)
      continue
    }
    const names = await readdir(join(dir, path))
    const stale = names.filter((name) => !kept.has(`${path}/${name}`))
    for (const name of stale) await unlink(join(dir, path, name))
    if (stale.length === names.length) await rmdir(join(dir, path))
  }
}

/** Reports whether a copy has a tail. */
export async function hasTail(files: LedgerFiles): Promise<boolean> {
  return (await tailStarts(files)).length > 0
}
