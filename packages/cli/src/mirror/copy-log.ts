/**
 * Copies one log into storage. Everything is verified before it is stored: the checkpoint by the trusted keys, the new tree by a
 * consistency proof from the stored checkpoint, each hash tile by the tile above it, and each entry by its leaf hash.
 *
 * The checkpoint is stored last, when all tiles that it covers are durable. Wherever a run ends, the copy therefore has all tiles of its
 * checkpoint, and perhaps later tiles. The next run compares the later tiles with the tree before it relies on them.
 */
import { ahead } from '@service-fs/client/ahead'
import { checkEarlier } from '@service-fs/client/audit-place'
import { ClientError } from '@service-fs/client/errors'
import type { LogSource } from '@service-fs/client/source'
import { TrustedTree } from '@service-fs/client/tree'
import type { Trust } from '@service-fs/client/trust'
import { codeOf, messageOf } from '@service-fs/format/errors'
import { nativeCodec, nativeHasher } from '@service-fs/native/native'
import type { StorageCapability } from '@service-fs/storage/capability'
import type { SealedName } from '@service-fs/storage/object-name'
import type { Checkpoint } from '@service-fs/tlog/checkpoint'
import { equalBytes } from '@service-fs/tlog/codec'
import type { Hash } from '@service-fs/tlog/hash'
import { TILE_WIDTH, levelWidth, storedPath, tileCount } from '@service-fs/tlog/tile'
import { formatBundle, formatHashTile, parseBundle } from '@service-fs/tlog/tile-text'
import { base64Lines } from '../copy.ts'

/** The number of tiles that are read from the source at a time. A bundle has at most 22 MiB of text. */
const WIDTH = 4

/** The copy of one log. */
export interface LogTarget {
  /** Its directory, for messages. */
  readonly name: string
  readonly storage: StorageCapability
  /** The stored data, for reading. */
  readonly stored: LogSource
  /** Stores the end of the tree, which has no full tiles, and then the checkpoint. Durable when it resolves. */
  end(tree: TrustedTree, note: string): Promise<void>
}

/** A signed checkpoint whose signature verified. */
export interface SignedTree {
  note: string
  checkpoint: Checkpoint
}

/** The result of one run. */
export interface CopiedLog {
  origin: string
  /** The tree size before the run and after it, and the root hash after it. */
  from: number
  size: number
  root: Hash
  /** The objects that were stored, and their bytes. */
  bundles: number
  tiles: number
  bytes: number
}

export interface CopyLogOptions {
  source: LogSource
  target: LogTarget
  trust: Trust
  /** The checkpoint to copy, read from the source and verified. */
  newest: SignedTree
  /** Called with the number of entries that are stored, and the tree size. */
  progress?: (entries: number, size: number) => void
}

/** Returns the stored checkpoint of a copy; undefined before the first complete run. @throws ClientError `false`, `malformed`, `file` */
export async function storedTree(stored: LogSource, trust: Trust): Promise<SignedTree | undefined> {
  try {
    const note = await stored.checkpoint()
    return { note, checkpoint: trust.open(note) }
  } catch (error) {
    if (error instanceof ClientError && error.code === 'not-found') return undefined
    throw error
  }
}

/**
 * Brings the copy up to the newest checkpoint.
 * @throws ClientError `false` when the source forked or rolled back, when a tile does not verify, or when the copy is damaged;
 *   no stored byte is changed then
 */
export async function copyLog(options: CopyLogOptions): Promise<CopiedLog> {
  const { source, target, trust, newest } = options
  const { origin, size, root } = newest.checkpoint
  const stored = await storedTree(target.stored, trust)
  const from = stored?.checkpoint.size ?? 0
  const copied: CopiedLog = { origin, from, size, root, bundles: 0, tiles: 0, bytes: 0 }
  if (stored !== undefined) {
    await checkSuccessor(source, stored.checkpoint, newest.checkpoint, target.name)
    await checkEdge(target, stored.checkpoint)
    if (await isPublished(target.storage, newest.note)) return copied
  }
  const tree = await TrustedTree.open(source, newest.checkpoint)
  await new Tiles(tree, options, copied).run()
  await target.end(tree, newest.note)
  return copied
}

/** Checks the right edge of the copy, which the next tiles continue. Does not read other tiles again. @throws ClientError `false` */
async function checkEdge({ name, stored }: LogTarget, checkpoint: Checkpoint): Promise<void> {
  try {
    await TrustedTree.open(stored, checkpoint)
  } catch (error) {
    if (!(error instanceof ClientError)) throw error
    throw new ClientError(error.code, `${name}: ${error.message}`)
  }
}

/** Reports whether the file `checkpoint` contains this note. After an interrupted run, the note may be in the tail but not in that file. */
async function isPublished(storage: StorageCapability, note: string): Promise<boolean> {
  const found = await storage.read({ kind: 'checkpoint' })
  return found !== undefined && equalBytes(found, nativeCodec.utf8Encode(note))
}

/** Checks that the newest tree contains the stored one. @throws ClientError `false` */
async function checkSuccessor(
  source: LogSource,
  stored: Checkpoint,
  newest: Checkpoint,
  name: string,
): Promise<void> {
  const had = `${name}: holds ${JSON.stringify(stored.origin)} with size ${stored.size} and root hash ${stored.root}`
  if (newest.origin !== stored.origin)
    throw new ClientError('false', `${had}; the source is ${JSON.stringify(newest.origin)}`)
  if (newest.size < stored.size)
    throw new ClientError('false', `${had}; the source rolled back to size ${newest.size}`)
  if (newest.size === stored.size && newest.root !== stored.root)
    throw new ClientError('false', `${had}; the source forked: its root hash at that size is ${newest.root}`)
  if (stored.size === 0 || newest.size === stored.size) return
  try {
    await checkEarlier({ source }, stored, newest)
  } catch (error) {
    if (!(error instanceof ClientError) || error.code !== 'false') throw error
    const forked = `the source forked: its tree of size ${newest.size} does not contain that tree`
    throw new ClientError('false', `${had}; ${forked} (${error.message})`)
  }
}

/** Stores the full tiles that are in a tree but not covered by the stored checkpoint. */
class Tiles {
  readonly #tree: TrustedTree
  readonly #storage: StorageCapability
  readonly #copied: CopiedLog
  readonly #progress: CopyLogOptions['progress']

  constructor(tree: TrustedTree, { target, progress }: CopyLogOptions, copied: CopiedLog) {
    this.#tree = tree
    this.#storage = target.storage
    this.#copied = copied
    this.#progress = progress
  }

  async run(): Promise<void> {
    const { from, size } = this.#copied
    const first = tileCount('entries', from)
    const bundles = tileCount('entries', size) - first
    let done = first
    for await (const _ of ahead(bundles, WIDTH, (i) => this.#bundle(first + i)))
      this.#progress?.((done += 1) * TILE_WIDTH, size)
    for (let level = 1; levelWidth(level, size) > 0; level++) {
      const start = tileCount(level, from)
      const count = tileCount(level, size) - start
      for await (const _ of ahead(count, WIDTH, (i) => this.#hashTile(level, start + i)));
    }
    this.#progress?.(size, size)
  }

  /** Stores a bundle and the tile of its leaf hashes. */
  async #bundle(index: number): Promise<void> {
    const leaves = await this.#tree.hashTile(0, index)
    const name: SealedName = { kind: 'bundle', index }
    const found = await this.#storage.read(name)
    const isNew = found === undefined
    // Sealing the same bytes again makes the file of an earlier process durable.
    const text = isNew ? await this.#text(index) : checkFound(index, found, leaves)
    await this.#seal(name, text, isNew)
    await this.#hashTile(0, index)
  }

  async #text(index: number): Promise<Uint8Array> {
    return nativeCodec.asciiEncode(formatBundle(base64Lines(await this.#tree.bundle(index))))
  }

  async #hashTile(level: number, index: number): Promise<void> {
    const name: SealedName = { kind: 'tile', level, index }
    const text = nativeCodec.asciiEncode(formatHashTile(await this.#tree.hashTile(level, index)))
    await this.#seal(name, text, (await this.#storage.read(name)) === undefined)
  }

  /** @throws ClientError `false` when the copy has other bytes under this name */
  async #seal(name: SealedName, bytes: Uint8Array, isNew: boolean): Promise<void> {
    try {
      await this.#storage.seal(name, bytes)
    } catch (error) {
      throw codeOf(error) === 'conflict' ? new ClientError('false', messageOf(error)) : error
    }
    if (!isNew) return
    this.#copied[name.kind === 'bundle' ? 'bundles' : 'tiles'] += 1
    this.#copied.bytes += bytes.length
  }
}

/** Checks each entry of a bundle that an interrupted run stored, and returns the bundle. @throws ClientError `false` */
function checkFound(index: number, text: Uint8Array, leaves: readonly Hash[]): Uint8Array {
  const path = storedPath({ level: 'entries', index, width: TILE_WIDTH })
  let lines: string[]
  try {
    lines = parseBundle(Buffer.from(text.buffer, text.byteOffset, text.length).toString('latin1'), TILE_WIDTH)
  } catch (error) {
    throw new ClientError('false', `${path}: ${messageOf(error)}`)
  }
  for (const [i, line] of lines.entries()) {
    const found = nativeHasher.leaf(nativeCodec.base64Decode(line))
    if (found === leaves[i]) continue
    const entry = index * TILE_WIDTH + i
    throw new ClientError('false', `${path}: entry ${entry}: expected leaf hash ${leaves[i]}, found ${found}`)
  }
  return text
}
