/** One second tree of a ledger's files: its origin, keys, checkpoint and tiles, compared with the entries. */
import { messageOf } from '@service-fs/format/errors'
import { treeAlgorithm, treeOrigin, type TreeAlgorithm } from '@service-fs/format/tree-binding'
import { nativeCodec } from '@service-fs/native/native'
import { treeHasher, type TreeHasher } from '@service-fs/native/tree-hasher'
import type { Hash } from '@service-fs/tlog/hash'
import { parseVkey, TYPE_ED25519 } from '@service-fs/tlog/note'
import { subtreeRoot } from '@service-fs/tlog/proof'
import { TILE_WIDTH, parseStoredPath, storedPath, tileSpan, type Tile } from '@service-fs/tlog/tile'
import { formatHashTile } from '@service-fs/tlog/tile-text'
import { ClientError } from '../errors.ts'
import { LOG_KEY } from '../key-files.ts'
import type { LedgerFiles } from '../ledger-files.ts'
import type { PlacedBinding } from '../records.ts'
import type { Problems } from '../problems.ts'
import { BundleRoots, upperTiles } from './bundle-roots.ts'
import { treeBundle, type TreeBundle } from './tree-bundle.ts'
import { openTreeCheckpoint, parseTreeTile, type TreeCheckpoint } from './tree-text.ts'

/** The file in which a copy states that it leaves out the second tree. The tree's folder then holds only this file. */
export const LEFT_OUT = 'left-out.txt'

/** Returns the text of {@link LEFT_OUT}. */
export function leftOutText(algorithm: TreeAlgorithm): string {
  return `This copy leaves out the second tree of the ledger, whose hash is ${algorithm}: its source did not offer it.\n`
}

/** The working files of a process that has the ledger open. */
const WORKING: ReadonlySet<string> = new Set(['lock', 'tmp', 'cache'])

/** The files of one second tree. */
export class SecondTree {
  readonly algorithm: TreeAlgorithm
  /** The origin of the tree, which is also the name of its key. */
  readonly origin: string
  readonly hasher: TreeHasher
  /** The hashes of the full bundles that were added, starting with the first. */
  readonly roots: BundleRoots = new BundleRoots()
  /** Whether the ledger has the tree's folder. */
  readonly isStored: boolean
  /** Whether the ledger is a copy that states that it leaves out this tree. */
  isLeftOut = false
  /** The tree's signed checkpoint; undefined when it is missing or does not verify. */
  checkpoint: (TreeCheckpoint & { note: string }) | undefined
  /** The vkey in the tree's folder keys/. */
  vkey: string | undefined
  /** The number of tiles that were compared with the entries. */
  tiles = 0
  readonly #files: LedgerFiles
  readonly #problems: Problems
  readonly #bytes: number
  /** Missing files that a tree must have once an entry binds it. */
  readonly #missing: string[] = []
  /** Whether a bundle has an entry that could not be read. The tree after such a bundle is unknown. */
  #isBroken = false

  constructor(
    algorithm: TreeAlgorithm,
    log: { origin: string; files: LedgerFiles; problems: Problems; isStored: boolean },
  ) {
    this.algorithm = algorithm
    this.origin = treeOrigin(log.origin, algorithm)
    this.hasher = treeHasher(algorithm)
    this.isStored = log.isStored
    this.#files = log.files
    this.#problems = log.problems
    this.#bytes = treeAlgorithm(algorithm).bytes
  }

  /**
   * Reads the origin, the key and the checkpoint. Call it before you read the log's newest checkpoint: the second tree is then not larger
   * than the log's.
   * @param pinned the keys that the caller trusts for this tree; if there are none, the key in the tree's folder counts
   */
  async open(pinned: readonly string[]): Promise<void> {
    const listed = (await this.#files.list(this.algorithm)).map(({ name }) => name)
    if (listed.length === 1 && listed[0] === LEFT_OUT) {
      this.isLeftOut = true
      return
    }
    const origin = await this.#text('origin')
    if (origin !== undefined && origin !== `${this.origin}\n`)
      this.#problems.add({ file: this.#path('origin') }, this.origin, JSON.stringify(origin.slice(0, 200)))
    this.vkey = await this.#key()
    const vkeys = pinned.length > 0 ? pinned : this.vkey === undefined ? [] : [this.vkey]
    const note = await this.#text('checkpoint')
    if (note === undefined || vkeys.length === 0) return
    const expected = { origin: this.origin, bytes: this.#bytes }
    const checkpoint = this.#try('checkpoint', 'a checkpoint signed by the key of the tree', () =>
      openTreeCheckpoint(note, vkeys, expected),
    )
    if (checkpoint !== undefined) this.checkpoint = { ...checkpoint, note }
  }

  /** Reports files that do not belong to the tree. Returns the number of the tree's files, and its tiles beyond the log's size. */
  async list(size: number): Promise<{ count: number; beyond: { tile: Tile; file: string }[] }> {
    const found = { count: 0, beyond: [] as { tile: Tile; file: string }[] }
    const walk = async (folder: string): Promise<void> => {
      for (const { name, kind } of await this.#files.list(this.#path(folder))) {
        const path = folder === '' ? name : `${folder}/${name}`
        if (folder === '' && WORKING.has(name)) continue
        if (kind === 'directory' && (path === 'keys' || path === 'tile' || path.startsWith('tile/')))
          await walk(path)
        else if (kind === 'file' && this.#isKnown(path)) {
          found.count += 1
          if (!path.startsWith('tile/')) continue
          const tile = parseStoredPath(path)
          if (tileSpan(tile).end > size) found.beyond.push({ tile, file: this.#path(path) })
        } else this.#problems.add({ file: this.#path(path) }, 'only files of a second tree', 'another file')
      }
    }
    await walk('')
    return found
  }

  #isKnown(path: string): boolean {
    if (this.isLeftOut) return path === LEFT_OUT
    if (path === 'origin' || path === 'checkpoint' || path === `keys/${LOG_KEY}`) return true
    try {
      const { level, width } = parseStoredPath(path)
      return level !== 'entries' && width === TILE_WIDTH
    } catch {
      return false
    }
  }

  /** Adds the next bundle from its entries. `entries` is undefined when an entry is missing. */
  async addEntries(entries: readonly Uint8Array[] | undefined): Promise<void> {
    if (entries?.length !== TILE_WIDTH) {
      this.#isBroken = true
      return
    }
    const text = this.isStored ? await this.#read(this.#tile(0, this.roots.count)) : undefined
    await this.add(treeBundle((i) => entries[i] as Uint8Array, this.hasher, text))
  }

  /** Adds the next bundle. Compares its leaf hashes with the stored tile. */
  async add({ root, leaves }: TreeBundle): Promise<void> {
    if (this.#isBroken) return
    const index = this.roots.count
    this.roots.add(root)
    if (leaves === undefined) this.tiles += 1
    else await this.#compare(0, index, leaves)
  }

  /** Compares the tiles above the leaves, and reports the files that a bound tree lacks. */
  async end(bindings: readonly PlacedBinding[]): Promise<void> {
    if (!this.isStored || this.isLeftOut) return
    if (bindings.length > 0)
      for (const file of this.#missing) {
        // Read again: a daemon, which writes the tree's files before it binds the tree, may have written this file meanwhile.
        if ((await this.#read(file)) === undefined) this.#problems.add({ file }, 'the file', 'nothing')
      }
    for (const { level, index, hashes } of upperTiles(this.roots, this.hasher))
      await this.#compare(level, index, hashes)
  }

  /**
   * Yields the files of the tree for a copy: the tiles that its checkpoint covers, which {@link end} has compared with the entries, and the
   * checkpoint last. Yields nothing if the tree has no checkpoint. @throws ClientError `file` when a tile changed meanwhile
   */
  async *files(): AsyncGenerator<readonly [path: string, bytes: Uint8Array]> {
    const { checkpoint, vkey, algorithm } = this
    if (this.isLeftOut) yield [this.#path(LEFT_OUT), nativeCodec.utf8Encode(leftOutText(algorithm))]
    if (checkpoint === undefined || vkey === undefined) return
    yield [this.#path('origin'), nativeCodec.utf8Encode(`${this.origin}\n`)]
    yield [this.#path(`keys/${LOG_KEY}`), nativeCodec.utf8Encode(`${vkey}\n`)]
    const bundles = Math.floor(checkpoint.size / TILE_WIDTH)
    for (let index = 0; index < bundles; index++) {
      const file = this.#tile(0, index)
      const text = await this.#files.read(file)
      const [root] = this.roots.hashes(index, index + 1)
      if (text === undefined || subtreeRoot(parseTreeTile(text, this.#bytes), this.hasher) !== root)
        throw new ClientError('file', `${file}: changed while it was verified`)
      yield [file, text]
    }
    for (const { level, index, hashes } of upperTiles(this.roots, this.hasher))
      if (tileSpan({ level, index, width: TILE_WIDTH }).end <= checkpoint.size)
        yield [this.#tile(level, index), nativeCodec.asciiEncode(formatHashTile(hashes))]
    yield [this.#path('checkpoint'), nativeCodec.utf8Encode(checkpoint.note)]
  }

  /** Reports whether the hashes of the first `size` entries are known, apart from those after the last full bundle. */
  covers(size: number): boolean {
    return !this.#isBroken && this.roots.count >= Math.floor(size / TILE_WIDTH)
  }

  /** Compares a stored tile with the computed hashes. The tile must exist if the tree's checkpoint covers it. */
  async #compare(level: number, index: number, hashes: readonly Hash[]): Promise<void> {
    if (!this.isStored || this.isLeftOut) return
    const file = this.#tile(level, index)
    const text = await this.#read(file)
    const { end } = tileSpan({ level, index, width: TILE_WIDTH })
    if (text === undefined) {
      if (end <= (this.checkpoint?.size ?? 0)) this.#problems.add({ file }, 'the file', 'nothing')
      return
    }
    this.tiles += 1
    let stored: Hash[]
    try {
      stored = parseTreeTile(text, this.#bytes)
    } catch (error) {
      this.#problems.addError({ file }, error, `a hash tile of ${this.algorithm}`)
      return
    }
    const below = level === 0 ? 'the entry' : 'the tile below'
    for (const [i, hash] of hashes.entries())
      if (stored[i] !== hash) {
        const place = level === 0 ? { index: index * TILE_WIDTH + i } : {}
        this.#problems.add(
          { file, line: i + 1, ...place },
          `the ${this.algorithm} hash of ${below}, ${hash}`,
          String(stored[i]),
        )
      }
  }

  async #key(): Promise<string | undefined> {
    const file = `keys/${LOG_KEY}`
    const text = await this.#text(file)
    if (text === undefined) return undefined
    return this.#try(file, 'one vkey', () => {
      const line = text.slice(0, -1)
      if (text !== `${line}\n` || line.includes('\n'))
        throw new Error(`expected one line, found ${JSON.stringify(text.slice(0, 80))}`)
      const { name, type } = parseVkey(line)
      if (name !== this.origin) throw new Error(`expected a key named ${this.origin}, found ${name}`)
      if (type !== TYPE_ED25519) throw new Error(`expected a key of type 0x01, found type ${type}`)
      return line
    })
  }

  /** Reads a text file of the tree. Notes a missing file, and reports an unreadable one. */
  async #text(path: string): Promise<string | undefined> {
    const bytes = await this.#read(this.#path(path))
    if (bytes === undefined) {
      this.#missing.push(this.#path(path))
      return undefined
    }
    return this.#try(path, 'text', () => nativeCodec.utf8Decode(bytes))
  }

  async #read(file: string): Promise<Uint8Array | undefined> {
    try {
      return await this.#files.read(file)
    } catch (error) {
      this.#problems.addError({ file }, error, 'a readable file')
      return undefined
    }
  }

  #try<T>(path: string, expected: string, work: () => T): T | undefined {
    try {
      return work()
    } catch (error) {
      this.#problems.addError({ file: this.#path(path) }, error, `${expected} (${messageOf(error)})`)
      return undefined
    }
  }

  #path(path: string): string {
    return path === '' ? this.algorithm : `${this.algorithm}/${path}`
  }

  #tile(level: number, index: number): string {
    return this.#path(storedPath({ level, index, width: TILE_WIDTH }))
  }
}
