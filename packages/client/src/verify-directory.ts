/** Verifies every byte of a ledger's files, whether it is in use, stopped or exported. */
import type { Checkpoint } from '@service-fs/tlog/checkpoint'
import { EMPTY_ROOT, type Hash } from '@service-fs/tlog/hash'
import { readmeText } from '@service-fs/format/readme'
import { formatKeyId, keyId, parseVkey } from '@service-fs/tlog/note'
import {
  TILE_WIDTH,
  parseStoredPath,
  storedPath,
  tileSpan,
  tileWidth,
  type Tile,
} from '@service-fs/tlog/tile'
import { ClientError } from './errors.ts'
import { directoryFiles, type LedgerFiles, type ListedFile } from './ledger-files.ts'
import { nativeCodec, nativeHasher, sha256Hex } from '@service-fs/native/native'
import { Problems } from './problems.ts'
import { RecordCheck } from './records.ts'
import {
  filesSource,
  readStoredBundle,
  readStoredTile,
  tailNow,
  type LogSource,
  type TailNow,
} from './source.ts'
import { parseTailName } from '@service-fs/format/tail-text'
import { isTreeAlgorithm } from '@service-fs/format/tree-binding'
import type { LoadedTail } from './tail.ts'
import { TailWalk } from './tailwalk.ts'
import { Trust, type Opened } from './trust.ts'
import { SecondTrees } from './second-tree/second-trees.ts'
import {
  tryCheck,
  confirmDuplicates,
  checkSignatures,
  confirmExtensions,
  type LedgerReport,
  type VerifyOptions,
} from './verify.ts'
import { TreeWalk, type TreeFiles } from './walk.ts'
import { openChecks, type ClosableChecks } from './bundle-checks.ts'

const KEY_FILE = /^[a-z0-9-]{1,64}\.vkey$/

/** The files of a ledger outside of its folders. `service-fs upgrade` adds README-2.txt. */
const TEXTS: ReadonlySet<string> = new Set([
  'README.txt',
  'README-2.txt',
  'verify.sh',
  'origin',
  'checkpoint',
])

/** The files of a process that has the ledger open. They are not part of the ledger. */
export const WORKING_FILES: ReadonlySet<string> = new Set(['lock', 'tmp', 'cache'])

/** Verifies the ledger in a directory, like {@link verifyFiles}. */
export function verifyDirectory(dir: string, options: VerifyOptions = {}): Promise<LedgerReport> {
  return verifyFiles(directoryFiles(dir), options)
}

/**
 * Verifies the files of a ledger and of its audit sub-ledger. Reports problems of the content; @throws ClientError `file` when
 * there is no ledger or reading fails
 */
export async function verifyFiles(files: LedgerFiles, options: VerifyOptions = {}): Promise<LedgerReport> {
  if (!(await files.list('')).some(({ name }) => name === 'checkpoint' || name === 'origin'))
    throw new ClientError('file', `${files.place}: expected a ledger, found neither origin nor checkpoint`)
  return new FilesCheck(files, options, undefined).run()
}

/** Verifies only the audit sub-ledger with the given origin. @throws ClientError `file` when there is no sub-ledger */
export async function verifyAuditFiles(
  files: LedgerFiles,
  options: VerifyOptions,
  origin: string,
): Promise<LedgerReport> {
  return new FilesCheck(files.below('audit'), options, origin).run()
}

class FilesCheck {
  readonly #files: LedgerFiles
  readonly #options: VerifyOptions
  /** The origin that a sub-ledger must have. */
  readonly #expectedOrigin: string | undefined
  readonly #problems = new Problems()
  readonly #notes: string[] = []
  readonly #source: LogSource
  /** The partial tiles that are stored as files. */
  readonly #partial: Tile[] = []
  /** The tiles beyond the tree that the ledger had at the start of the check. */
  readonly #beyond: { tile: Tile; file: string }[] = []
  #count = 0
  /** The number of files of full bundles. */
  #bundles = 0

  constructor(files: LedgerFiles, options: VerifyOptions, expectedOrigin: string | undefined) {
    this.#files = files
    this.#options = options
    this.#expectedOrigin = expectedOrigin
    this.#source = filesSource(files)
  }

  async run(): Promise<LedgerReport> {
    const origin = await this.#origin()
    const { trust, keys } = await this.#trust(origin)
    const trees = new SecondTrees({
      origin,
      files: this.#files,
      problems: this.#problems,
      notes: this.#notes,
      pinned: (name) => (trust.pinned ? trust.vkeysOf(name) : []),
    })
    // Read the checkpoints of second trees before the log's newest: a second tree is never larger than the log.
    await trees.open(await this.#files.list(''))
    // Read the published checkpoint before the tail: a daemon may commit in between, and the tail is never older than the checkpoint.
    const published = await this.#checkpoint(trust, origin)
    const tail = await tailNow(this.#files)
    const head = this.#head(tail.newest, published)
    await this.#readme(origin)
    await this.#listing(head.size, trees)
    const stored = this.#bundles * TILE_WIDTH
    const records = new RecordCheck(this.#problems, head.size, this.#options.each, stored)
    const beside = this.#beside(tail, published?.checkpoint, origin, trust)
    const walk = await this.#walk(head.size, tail.starts, beside, records, trees)
    await this.#partials(head.size)
    await confirmDuplicates(records.suspects, head.size, this.#source, storedPath, this.#problems)
    await confirmExtensions(records.extensions, head.size, this.#source, this.#problems)
    this.#notes.push(
      ...(await checkSignatures(records, head.size, this.#source, this.#options, this.#problems)),
    )
    const second = await trees.end({
      size: head.size,
      source: this.#source,
      bindings: records.bindings,
      isRemote: false,
    })
    const { copy } = this.#options
    if (this.#problems.count === 0 && copy !== undefined)
      for await (const [path, bytes] of trees.files()) await copy.secondTree(path, bytes)
    if (this.#problems.count === 0) await copy?.end({ origin, keys, ...head })
    const audit = await this.#audit(origin)
    const { entries, bundles, tiles } = walk.counts
    return {
      ok: this.#problems.count === 0 && audit?.ok !== false,
      place: this.#files.place,
      origin,
      size: head.size,
      root: head.root,
      entries,
      records: records.records,
      time: records.time,
      // An export has no commits; it has only the published checkpoint.
      checked: {
        bundles,
        tiles,
        commits: Math.max(beside.commits, published === undefined ? 0 : 1),
        proofs: 0,
        files: this.#count,
      },
      trust: trust.toString(),
      pinned: trust.pinned,
      witnesses: published?.witnesses ?? [],
      notes: [...this.#notes, ...records.notes],
      problems: this.#problems.list,
      problemCount: this.#problems.count,
      ...(second.length === 0 ? {} : { trees: second }),
      ...(audit === undefined ? {} : { audit }),
    }
  }

  #beside(tail: TailNow, cell: Checkpoint | undefined, origin: string, trust: Trust): TailWalk {
    return new TailWalk({
      ...tail,
      files: this.#files,
      origin,
      cell,
      trust,
      problems: this.#problems,
      notes: this.#notes,
      hasher: nativeHasher,
    })
  }

  async #text(file: string, limit = 65_536): Promise<string | undefined> {
    return tryCheck(this.#problems, file, 'text', async () => {
      const bytes = await this.#files.read(file)
      if (bytes === undefined) throw new Error('expected the file, found nothing')
      if (bytes.length > limit) throw new Error(`expected at most ${limit} bytes, found ${bytes.length}`)
      return nativeCodec.utf8Decode(bytes)
    })
  }

  async #origin(): Promise<string> {
    const text = await this.#text('origin')
    const line = text?.split('\n')[0] ?? this.#expectedOrigin ?? ''
    if (text !== undefined && text !== line + '\n')
      this.#problems.add({ file: 'origin' }, 'one line', JSON.stringify(text.slice(0, 100)))
    if (this.#expectedOrigin !== undefined && line !== this.#expectedOrigin) {
      this.#problems.add({ file: 'origin' }, this.#expectedOrigin, line)
    }
    return line
  }

  /** README.txt is not signed, and each version writes its own text, so a different text is a note and not a problem. */
  async #readme(origin: string): Promise<void> {
    const text = await this.#text('README.txt', 1024 * 1024)
    if (text === '') this.#problems.add({ file: 'README.txt' }, 'how to read this directory', 'nothing')
    else if (text !== undefined && text !== readmeText(origin))
      this.#notes.push(
        'README.txt is not the text of this version: use the shell lines that `service-fs readme` prints, not those in the file',
      )
    if (text !== undefined) await this.#verifier(text)
  }

  /** Checks that README.txt or README-2.txt names the hash of verify.sh. Ledgers made by earlier versions have no verify.sh. */
  async #verifier(readme: string): Promise<void> {
    const file = 'verify.sh'
    const script = await tryCheck(
      this.#problems,
      file,
      'a script',
      async () => (await this.#files.read(file)) ?? 'none',
    )
    if (script === undefined) return
    if (script === 'none') {
      this.#notes.push('there is no verify.sh: `service-fs upgrade` adds it')
      return
    }
    const second =
      (await this.#files.read('README-2.txt')) === undefined ? '' : await this.#text('README-2.txt')
    const hash = sha256Hex(script)
    if (!readme.includes(hash) && second?.includes(hash) !== true)
      this.#problems.add({ file }, 'the hash that README.txt names', `the hash ${hash}`)
  }

  /** Returns the pinned keys. If no keys are pinned, returns the keys in keys/. Checks every file in keys/. */
  async #trust(origin: string): Promise<{ trust: Trust; keys: Map<string, string> }> {
    const keys = new Map<string, string>()
    for (const { name, kind } of await this.#files.list('keys')) {
      const file = `keys/${name}`
      const text = kind === 'file' && KEY_FILE.test(name) ? await this.#text(file) : undefined
      if (text === undefined) continue
      await tryCheck(this.#problems, file, 'one vkey', () => {
        const line = text.slice(0, -1)
        if (text !== line + '\n' || line.includes('\n'))
          throw new Error(`expected one line, found ${JSON.stringify(text.slice(0, 80))}`)
        const vkey = parseVkey(line)
        if (vkey.name !== origin) throw new Error(`expected a key named ${origin}, found ${vkey.name}`)
        // A key of an unknown type can't verify a signature, but its key id still reveals a changed byte.
        const id = keyId(vkey.name, vkey.type, vkey.publicKey)
        if (vkey.keyId !== id)
          throw new Error(`expected the key id ${formatKeyId(id)}, found ${formatKeyId(vkey.keyId)}`)
        keys.set(name, line)
      })
    }
    if (keys.size === 0) this.#problems.add({ file: 'keys' }, 'at least one vkey', 'none')
    const shown = Trust.shown([...keys.values()], 'keys/')
    const pinned = Trust.pinned(this.#options) ?? shown
    // A sub-ledger has its own keys. Unless the caller pins a key of the sub-ledger, the check shows only that the sub-ledger is
    // consistent.
    const isKnown = this.#expectedOrigin === undefined || pinned.knows(origin)
    return { trust: isKnown ? pinned : shown, keys }
  }

  async #checkpoint(trust: Trust, origin: string): Promise<(Opened & { note: string }) | undefined> {
    const note = await this.#text('checkpoint', 1024 * 1024)
    if (note === undefined) return undefined
    return tryCheck(this.#problems, 'checkpoint', 'a checkpoint signed by the log', () => ({
      ...trust.openPublished(note, origin),
      note,
    }))
  }

  /** Returns the newest signed tree: the tail's last commit, or the published checkpoint. */
  #head(newest: LoadedTail | undefined, published: (Opened & { note: string }) | undefined): Head {
    const last = newest?.commits.at(-1)
    const { size, root } = published?.checkpoint ?? { size: 0, root: EMPTY_ROOT }
    const head = { size, root, note: published?.note ?? '' }
    // At the same size, the published checkpoint may have more signatures.
    if (last !== undefined && last.size >= size) {
      const note = last.size === size && published !== undefined ? head.note : last.note
      return { size: last.size, root: last.root, note }
    }
    if (newest !== undefined) {
      this.#problems.add(
        { file: 'tail' },
        `commits up to size ${head.size} of the checkpoint`,
        `up to ${last?.size ?? newest.start}`,
      )
    }
    return head
  }

  async #walk(
    size: number,
    starts: readonly number[],
    beside: TailWalk,
    records: RecordCheck,
    trees: SecondTrees,
  ): Promise<TreeWalk> {
    const { progress, copy } = this.#options
    const { place } = this.#files
    const checks = this.#checks(size, records, trees)
    const walk = new TreeWalk({
      files: new StoredFiles(this.#files, starts[0] ?? size, starts.length === 0),
      size,
      beside,
      records,
      problems: this.#problems,
      hasher: nativeHasher,
      width: 2,
      progress: progress && ((entries) => progress(place, entries, size)),
      copy,
      checks,
      others: trees,
    })
    try {
      await walk.run()
    } finally {
      await checks?.close()
    }
    return walk
  }

  /** Returns the checks of full bundles; undefined when each entry has to be checked or copied separately. */
  #checks(size: number, records: RecordCheck, trees: SecondTrees): ClosableChecks | undefined {
    const { copy, each, threads } = this.#options
    if (each !== undefined || (copy !== undefined && copy.stored === undefined)) return undefined
    const bundles = Math.floor(size / TILE_WIDTH)
    return openChecks({
      files: this.#files,
      bundles,
      key: records.key,
      trees: trees.algorithms,
      withText: copy !== undefined,
      threads,
    })
  }

  /** Lists all files, and reports files that do not belong to a ledger, and tiles beyond the tree. */
  async #listing(size: number, trees: SecondTrees): Promise<void> {
    for (const entry of await this.#files.list('')) await this.#listed(entry, size)
    const second = await trees.list(size)
    this.#count += second.count
    this.#beyond.push(...second.beyond)
    if (this.#beyond.length === 0) return
    // A daemon may have appended entries since the check began.
    const { newest } = await tailNow(this.#files)
    const now = Math.max(size, newest?.commits.at(-1)?.size ?? 0)
    for (const { tile, file } of this.#beyond) {
      if (tileSpan(tile).end > now)
        this.#problems.add({ file }, `no tile beyond the tree of size ${now}`, 'one')
    }
  }

  async #listed({ name, kind }: ListedFile, size: number): Promise<void> {
    if (WORKING_FILES.has(name)) return
    if (kind === 'directory') {
      if (name === 'audit' && this.#expectedOrigin === undefined) return
      if (name === 'keys') return this.#known('keys', (file) => KEY_FILE.test(file))
      if (name === 'tail') return this.#known('tail', (file) => parseTailName(file) !== undefined)
      if (name === 'tile') return this.#tiles('tile', size)
      // The files of this tree are listed together with those of the other second trees.
      if (isTreeAlgorithm(name)) return
    } else if (kind === 'file' && TEXTS.has(name)) {
      this.#count += 1
      return
    }
    this.#unexpected(name)
  }

  #unexpected(file: string): void {
    this.#problems.add({ file }, 'only files of a ledger', 'another file')
  }

  async #known(folder: string, isKnown: (name: string) => boolean): Promise<void> {
    for (const { name, kind } of await this.#files.list(folder)) {
      if (kind === 'file' && isKnown(name)) this.#count += 1
      else this.#unexpected(`${folder}/${name}`)
    }
  }

  async #tiles(folder: string, size: number): Promise<void> {
    for (const { name, kind } of await this.#files.list(folder)) {
      const path = `${folder}/${name}`
      if (kind === 'directory') await this.#tiles(path, size)
      else if (kind === 'file') this.#tileFile(path, size)
      else this.#unexpected(path)
    }
  }

  #tileFile(path: string, size: number): void {
    let tile: Tile
    try {
      tile = parseStoredPath(path)
    } catch {
      return this.#unexpected(path)
    }
    this.#count += 1
    if (tile.level === 'entries' && tile.width === TILE_WIDTH) this.#bundles += 1
    if (tileSpan(tile).end > size) this.#beyond.push({ tile, file: path })
    else if (tile.width < TILE_WIDTH) this.#partial.push(tile)
  }

  /** Checks that each partial tile whose width differs from the tree's tile holds the first hashes of that tile. */
  async #partials(size: number): Promise<void> {
    for (const tile of this.#partial) {
      const { level, index, width } = tile
      if (tileWidth(level, index, size) === width) continue
      const file = storedPath(tile)
      await tryCheck(this.#problems, file, 'a partial tile', async () => {
        const found = level === 'entries' ? await this.#leaves(tile) : await readStoredTile(this.#files, tile)
        const whole = await this.#source.hashTile(
          level === 'entries' ? 0 : level,
          index,
          tileWidth(level, index, size),
        )
        const line = (found ?? []).findIndex((hash, i) => hash !== whole[i])
        if (line >= 0)
          this.#problems.add({ file, line: line + 1 }, `hash ${whole[line]}`, String(found?.[line]))
      })
    }
  }

  async #leaves(tile: Tile): Promise<string[]> {
    return ((await readStoredBundle(this.#files, tile)) ?? []).map((entry) => nativeHasher.leaf(entry))
  }

  async #audit(origin: string): Promise<LedgerReport | undefined> {
    if (this.#expectedOrigin !== undefined || this.#options.withoutAudit === true) return undefined
    const listed = await this.#files.list('')
    if (!listed.some(({ name, kind }) => name === 'audit' && kind === 'directory')) {
      this.#notes.push('there is no audit sub-ledger')
      return undefined
    }
    const { copy, ...options } = this.#options
    const own = copy === undefined ? options : { ...options, copy: copy.audit() }
    return new FilesCheck(this.#files.below('audit'), own, `${origin}/audit`).run()
  }
}

/** The newest signed tree, and its signed checkpoint. */
interface Head {
  size: number
  root: Hash
  note: string
}

/** Reads the tiles from files. */
class StoredFiles implements TreeFiles {
  readonly #files: LedgerFiles
  /** All entries below this index must be in tiles. */
  readonly #sealed: number
  /** An export has no tail; its partial tiles are files. */
  readonly #isExport: boolean

  constructor(files: LedgerFiles, sealed: number, isExport: boolean) {
    this.#files = files
    this.#sealed = sealed
    this.#isExport = isExport
  }

  name(tile: Tile): string {
    return storedPath(tile)
  }

  required(tile: Tile): boolean {
    return tile.width === TILE_WIDTH ? tileSpan(tile).end <= this.#sealed : this.#isExport
  }

  hashTile(tile: Tile): Promise<string[] | undefined> {
    return readStoredTile(this.#files, tile)
  }

  bundle(tile: Tile): Promise<Uint8Array[] | undefined> {
    return readStoredBundle(this.#files, tile)
  }
}
