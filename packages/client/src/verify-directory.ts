/** Checks a ledger in a directory, live, at rest or exported: every byte that is part of it. */
import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Checkpoint } from '@service-fs/tlog/checkpoint'
import { EMPTY_ROOT } from '@service-fs/tlog/hash'
import { formatKeyId, keyId, parseVkey } from '@service-fs/tlog/note'
import {
  TILE_WIDTH,
  parseStoredPath,
  storedPath,
  tileSpan,
  tileWidth,
  type Tile,
} from '@service-fs/tlog/tile'
import { ClientError, codeOf, messageOf } from './errors.ts'
import { nativeCodec, nativeHasher } from '@service-fs/native/native'
import { Problems } from './problems.ts'
import { RecordCheck } from './records.ts'
import {
  directorySource,
  loadTail,
  readOptional,
  readStoredBundle,
  readStoredTile,
  tailStarts,
  type LogSource,
} from './source.ts'
import { parseTailName } from '@service-fs/format/tail-name'
import type { LoadedTail } from './tail.ts'
import { TailWalk } from './tailwalk.ts'
import { Trust } from './trust.ts'
import { attempt, confirmDuplicates, type LedgerReport, type VerifyOptions } from './verify.ts'
import { TreeWalk, type TreeFiles } from './walk.ts'

/** The running process's own: never part of a ledger. */
const OWN: ReadonlySet<string> = new Set(['lock', 'tmp', 'cache'])

/**
 * Checks a ledger directory and its audit sub-ledger.
 * @throws ClientError `file` when there is no ledger, or reading fails; what is wrong with the ledger is in the report
 */
export async function verifyDirectory(dir: string, options: VerifyOptions = {}): Promise<LedgerReport> {
  if ((await statOrUndefined(dir))?.isDirectory() !== true)
    throw new ClientError('file', `${dir}: expected a directory`)
  if (
    (await readOptional(join(dir, 'checkpoint'))) === undefined &&
    (await readOptional(join(dir, 'origin'))) === undefined
  ) {
    throw new ClientError('file', `${dir}: expected a ledger, found neither origin nor checkpoint`)
  }
  return new DirectoryCheck(dir, options, undefined).run()
}

async function statOrUndefined(path: string): Promise<Awaited<ReturnType<typeof stat>> | undefined> {
  try {
    return await stat(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw new ClientError('file', messageOf(error))
  }
}

class DirectoryCheck {
  readonly #dir: string
  readonly #options: VerifyOptions
  /** The origin that a sub-ledger must have. */
  readonly #expectedOrigin: string | undefined
  readonly #problems = new Problems()
  readonly #notes: string[] = []
  readonly #source: LogSource
  /** Partial tiles that stand as files. */
  readonly #partial: Tile[] = []
  /** Full tiles that are beyond the tree as it was when the check began. */
  readonly #beyond: Tile[] = []
  #files = 0

  constructor(dir: string, options: VerifyOptions, expectedOrigin: string | undefined) {
    this.#dir = dir
    this.#options = options
    this.#expectedOrigin = expectedOrigin
    this.#source = directorySource(dir)
  }

  async run(): Promise<LedgerReport> {
    const origin = await this.#origin()
    const trust = await this.#trust(origin)
    const starts = await tailStarts(this.#dir)
    const lastStart = starts.at(-1)
    const newest = lastStart === undefined ? undefined : await loadTail(this.#dir, lastStart)
    const published = await this.#checkpoint(trust, origin)
    const head = this.#head(newest, published?.checkpoint)
    await this.#readme()
    await this.#listing(head.size)
    const records = new RecordCheck(this.#problems)
    const beside = new TailWalk({
      dir: this.#dir,
      origin,
      starts,
      newest,
      cell: published?.checkpoint,
      trust,
      problems: this.#problems,
      notes: this.#notes,
      hasher: nativeHasher,
    })
    const walk = await this.#walk(head.size, starts, beside, records)
    await this.#partials(head.size)
    await confirmDuplicates(records.suspects, head.size, this.#source, this.#problems)
    const audit = await this.#audit(origin)
    const { entries, bundles, tiles } = walk.counts
    return {
      ok: this.#problems.count === 0 && audit?.ok !== false,
      place: this.#dir,
      origin,
      ...head,
      entries,
      records: records.records,
      time: records.time,
      checked: { bundles, tiles, commits: beside.commits, proofs: 0, files: this.#files },
      trust: trust.toString(),
      pinned: trust.pinned,
      witnesses: published?.witnesses ?? [],
      notes: this.#notes,
      problems: this.#problems.list,
      problemCount: this.#problems.count,
      ...(audit === undefined ? {} : { audit }),
    }
  }

  async #text(file: string, limit = 65_536): Promise<string | undefined> {
    const bytes = await readOptional(join(this.#dir, file))
    if (bytes === undefined) {
      this.#problems.add({ file }, 'the file', 'nothing')
      return undefined
    }
    return attempt(this.#problems, file, 'text', () => {
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

  async #readme(): Promise<void> {
    const text = await this.#text('README.txt', 1024 * 1024)
    if (text === '') this.#problems.add({ file: 'README.txt' }, 'how to read this directory', 'nothing')
  }

  /** The keys that the user gave, or else those in keys/; all of keys/ is read strictly. */
  async #trust(origin: string): Promise<Trust> {
    const vkeys: string[] = []
    for (const name of await namesIn(join(this.#dir, 'keys'))) {
      const file = `keys/${name}`
      const text = name.endsWith('.vkey') ? await this.#text(file) : undefined
      if (text === undefined) continue
      await attempt(this.#problems, file, 'one vkey', () => {
        const line = text.slice(0, -1)
        if (text !== line + '\n' || line.includes('\n'))
          throw new Error(`expected one line, found ${JSON.stringify(text.slice(0, 80))}`)
        const vkey = parseVkey(line)
        if (vkey.name !== origin) throw new Error(`expected a key named ${origin}, found ${vkey.name}`)
        // A type that is not known here gives no verifier, but its id tells a changed byte all the same.
        const id = keyId(vkey.name, vkey.type, vkey.publicKey)
        if (vkey.keyId !== id)
          throw new Error(`expected the key id ${formatKeyId(id)}, found ${formatKeyId(vkey.keyId)}`)
        vkeys.push(line)
      })
    }
    if (vkeys.length === 0) this.#problems.add({ file: 'keys' }, 'at least one vkey', 'none')
    const pinned = Trust.pinned(this.#options)
    if (pinned === undefined) return Trust.shown(vkeys, 'keys/')
    // A sub-ledger has keys of its own: without one among the pinned, it is only shown to be consistent.
    return this.#expectedOrigin !== undefined && !pinned.knows(origin) ? Trust.shown(vkeys, 'keys/') : pinned
  }

  async #checkpoint(
    trust: Trust,
    origin: string,
  ): Promise<{ checkpoint: Checkpoint; witnesses: string[] } | undefined> {
    const note = await this.#text('checkpoint', 1024 * 1024)
    if (note === undefined) return undefined
    return attempt(this.#problems, 'checkpoint', 'a checkpoint signed by the log', () =>
      trust.openPublished(note, origin),
    )
  }

  /** The newest tree that was signed: the tail's last commit, or what is published. */
  #head(newest: LoadedTail | undefined, published: Checkpoint | undefined): { size: number; root: string } {
    const last = newest?.commits.at(-1)
    const head = published ?? { size: 0, root: EMPTY_ROOT }
    if (last !== undefined && last.size >= head.size) return { size: last.size, root: last.root }
    if (newest !== undefined) {
      this.#problems.add(
        { file: 'tail' },
        `commits up to size ${head.size} of the checkpoint`,
        `up to ${last?.size ?? newest.start}`,
      )
    }
    return { size: head.size, root: head.root }
  }

  async #walk(
    size: number,
    starts: readonly number[],
    beside: TailWalk,
    records: RecordCheck,
  ): Promise<TreeWalk> {
    const { progress } = this.#options
    const files = new StoredFiles(this.#dir, starts[0] ?? size, starts.length === 0)
    const walk = new TreeWalk({
      files,
      size,
      beside,
      records,
      problems: this.#problems,
      hasher: nativeHasher,
      width: 2,
      progress: progress && ((entries) => progress(this.#dir, entries, size)),
    })
    await walk.run()
    return walk
  }

  /** Goes through all files: none that a ledger does not have, none beyond the tree. */
  async #listing(size: number): Promise<void> {
    for (const entry of await entriesIn(this.#dir)) await this.#listed(entry, size)
    if (this.#beyond.length === 0) return
    // A ledger in use may have grown since the check began.
    const start = (await tailStarts(this.#dir)).at(-1)
    const tail = start === undefined ? undefined : await loadTail(this.#dir, start)
    const now = Math.max(size, tail?.commits.at(-1)?.size ?? 0)
    for (const tile of this.#beyond) {
      if (tileSpan(tile).end > now)
        this.#problems.add({ file: storedPath(tile) }, `nothing beyond the tree of size ${now}`, 'a tile')
    }
  }

  async #listed(entry: Dirent, size: number): Promise<void> {
    const { name } = entry
    if (OWN.has(name)) return
    if (entry.isDirectory()) {
      if (name === 'audit' && this.#expectedOrigin === undefined) return
      if (name === 'keys') return this.#known('keys', (file) => /^[^/]+\.vkey$/.test(file))
      if (name === 'tail') return this.#known('tail', (file) => parseTailName(file) !== undefined)
      if (name === 'tile') return this.#tiles('tile', size)
    } else if (entry.isFile() && ['README.txt', 'origin', 'checkpoint'].includes(name)) {
      this.#files += 1
      return
    }
    this.#unexpected(name)
  }

  #unexpected(file: string): void {
    this.#problems.add({ file }, 'only files of a ledger', 'this')
  }

  async #known(folder: string, isKnown: (name: string) => boolean): Promise<void> {
    for (const entry of await entriesIn(join(this.#dir, folder))) {
      if (entry.isFile() && isKnown(entry.name)) this.#files += 1
      else this.#unexpected(`${folder}/${entry.name}`)
    }
  }

  async #tiles(folder: string, size: number): Promise<void> {
    for (const entry of await entriesIn(join(this.#dir, folder))) {
      const path = `${folder}/${entry.name}`
      if (entry.isDirectory()) await this.#tiles(path, size)
      else if (entry.isFile()) this.#tileFile(path, size)
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
    this.#files += 1
    if (tileSpan(tile).end > size) this.#beyond.push(tile)
    else if (tile.width < TILE_WIDTH) this.#partial.push(tile)
  }

  /** Partial tiles of another width than the tree's must be the first lines of what the tree has. */
  async #partials(size: number): Promise<void> {
    for (const tile of this.#partial) {
      const { level, index, width } = tile
      if (tileWidth(level, index, size) === width) continue
      const file = storedPath(tile)
      await attempt(this.#problems, file, 'a partial tile', async () => {
        const found = level === 'entries' ? await this.#leaves(tile) : await readStoredTile(this.#dir, tile)
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
    return ((await readStoredBundle(this.#dir, tile)) ?? []).map((entry) => nativeHasher.leaf(entry))
  }

  async #audit(origin: string): Promise<LedgerReport | undefined> {
    const dir = join(this.#dir, 'audit')
    if (this.#expectedOrigin !== undefined || this.#options.withoutAudit === true) return undefined
    if ((await statOrUndefined(dir))?.isDirectory() !== true) {
      this.#notes.push('there is no audit sub-ledger')
      return undefined
    }
    return new DirectoryCheck(dir, this.#options, `${origin}/audit`).run()
  }
}

/** The tiles as files. */
class StoredFiles implements TreeFiles {
  readonly #dir: string
  /** Everything below this entry must be in tiles. */
  readonly #sealed: number
  /** There is no tail: partial tiles are files. */
  readonly #isExport: boolean

  constructor(dir: string, sealed: number, isExport: boolean) {
    this.#dir = dir
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
    return readStoredTile(this.#dir, tile)
  }

  bundle(tile: Tile): Promise<Uint8Array[] | undefined> {
    return readStoredBundle(this.#dir, tile)
  }
}

async function entriesIn(dir: string): Promise<Dirent[]> {
  try {
    return (await readdir(dir, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch (error) {
    // A folder may go while its ledger is in use.
    if (codeOf(error) === 'ENOENT') return []
    throw new ClientError('file', messageOf(error))
  }
}

async function namesIn(dir: string): Promise<string[]> {
  return (await entriesIn(dir)).map(({ name }) => name)
}
