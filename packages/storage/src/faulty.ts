import type { StorageCapability } from './capability.ts'
import { StorageError } from './errors.ts'
import type { FileSystem, Protection, TailHandle } from './file-system.ts'
import { openFileStorage } from './files.ts'
import { Random } from './random.ts'

export interface FaultyOptions {
  /** Seeds every random decision. */
  readonly seed: number
  /** Default 'grow'. */
  readonly tailMode?: 'grow' | 'each'
  /** Cuts the power at this step, counted from 1: it happens in part or not at all, and no later step happens. */
  readonly cutAt?: number
  /**
   * Fails that step. A failed write leaves a part of its bytes. A failed sync makes a part durable. The rest stays readable until
   * the power is cut, but counts as clean, so no later sync writes it. Kernels behave like this.
   */
  readonly fail?: { readonly step: number; readonly errno: 'EIO' | 'ENOSPC' }
  /** Selects syncs (`fsync tmp/1`, `fdatasync tail/000000000000`, `fsync tail`) that the disk reports as done but does not do. */
  readonly lies?: (call: string) => boolean
  /** Whether files can be made immutable or append-only; default false. A power cut may undo a new attribute. */
  readonly protects?: boolean
  /** The byte that an unwritten sector reads as. Default: NUL or line feed, as the seed decides. */
  readonly fill?: number
}

/** Every call rejects with this once the power is cut. */
export class PowerCut extends Error {
  constructor() {
    super('the power is off')
    this.name = 'PowerCut'
  }
}

const SECTOR = 512

/** A file: the bytes that programs see, the bytes on the medium, and the sectors that are not synced. */
interface Inode {
  seen: Uint8Array
  durable: Uint8Array
  unsynced: Set<number>
  /** A protected file can be neither removed nor renamed. */
  protection: 'none' | 'immutable' | 'append-only'
}

type Node = Inode | 'dir'

/** An unsynced change to the names in a directory. A rename is a single change. */
interface NameChange {
  readonly add?: { readonly path: string; readonly node: Node }
  readonly remove?: string
}

/**
 * A simulated disk with a ledger on it. Every system call is a step. The power can be cut at any step, also in the middle of a
 * storage verb, and any step can fail. crash() returns the disk after a power cut: any subset of the unsynced names and 512-byte
 * sectors is there.
 */
export class FaultyDisk {
  readonly seed: number
  /** The steps so far, as system calls: `fsync tmp/1`, for example. */
  readonly steps: string[] = []
  /** The file system, for tests that wrap it before they open the storage. */
  readonly files: FileSystem
  readonly #options: FaultyOptions
  readonly #random: Random
  #off = false
  /** Whether a directory sync has failed on a file system with attributes, which then syncs no directory until the next mount. */
  #stopped = false
  /** The names that programs see, and the names on the medium. */
  #names = new Map<string, Node>([['', 'dir']])
  #durable = new Map<string, Node>([['', 'dir']])
  /** Unsynced changes by directory, in order. */
  #changes = new Map<string, NameChange[]>()

  constructor(options: FaultyOptions) {
    this.seed = options.seed
    this.#options = options
    this.#random = new Random(options.seed)
    this.files = new FaultyFiles(this, options.protects ?? false)
  }

  /** Opens the ledger on the disk, as a newly started process does. */
  open(): Promise<StorageCapability> {
    return openFileStorage(this.files, this.#options.tailMode ?? 'grow')
  }

  /** Whether the power is cut. */
  get isOff(): boolean {
    return this.#off
  }

  /** Cuts the power. Returns a new disk with the data that survived; this one stays off. Options default to this disk's, with its next seed. */
  crash(options: Partial<FaultyOptions> = {}): FaultyDisk {
    this.#off = true
    const after = this.#successor(options)
    const kept = [0, 0.5, 1, this.#random.next()][this.#random.below(4)] ?? 0
    const fill = this.#options.fill ?? (this.#random.chance(0.5) ? 0 : 10)
    const names = new Map(this.#durable)
    for (const changes of this.#changes.values()) {
      for (const change of changes) if (this.#random.chance(kept)) applyChange(names, change)
    }
    const found = new Map<Node, Node>([['dir', 'dir']])
    for (const [path, node] of names) {
      if (!isReachable(path, names)) continue
      if (node !== 'dir' && !found.has(node)) found.set(node, survivor(node, kept, fill, this.#random))
      after.#names.set(path, found.get(node) ?? 'dir')
    }
    after.#durable = new Map(after.#names)
    return after
  }

  /**
   * Ends the process (SIGKILL) and leaves the power on. Returns a new disk with everything that was written; unsynced data may still
   * be lost later. Do not use this disk any more.
   */
  kill(options: Partial<FaultyOptions> = {}): FaultyDisk {
    this.#off = true
    const after = this.#successor(options)
    after.#names = this.#names
    after.#durable = this.#durable
    after.#changes = this.#changes
    after.#stopped = this.#stopped
    return after
  }

  /** Flips one bit of a file on the medium; of a random file outside tmp/ when no path is given. Returns its place. */
  flipBit(path?: string): { path: string; offset: number; bit: number } {
    const paths = path === undefined ? [...this.dump().keys()] : [path]
    const chosen = paths[this.#random.below(paths.length)] ?? ''
    const { seen, durable } = this.inode(chosen)
    const offset = this.#random.below(seen.length)
    const bit = this.#random.below(8)
    seen[offset] = (seen[offset] ?? 0) ^ (1 << bit)
    if (offset < durable.length) durable[offset] = (durable[offset] ?? 0) ^ (1 << bit)
    return { path: chosen, offset, bit }
  }

  /** Returns a copy of the files that programs see, without tmp/, by path. */
  dump(): Map<string, Uint8Array> {
    const files = new Map<string, Uint8Array>()
    for (const [path, node] of [...this.#names].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (node !== 'dir' && !path.startsWith('tmp/')) files.set(path, node.seen.slice())
    }
    return files
  }

  /** @internal Runs one system call: applies its effect, or the effect of its failure or of a power cut during it. */
  async step<T>(
    call: string,
    effect: () => T,
    failed: () => void = noEffect,
    cut: () => void = failed,
  ): Promise<T> {
    if (this.#off) throw new PowerCut()
    this.steps.push(call)
    if (this.steps.length === this.#options.cutAt) {
      this.#off = true
      if (this.#random.chance(0.5)) cut()
      throw new PowerCut()
    }
    if (this.steps.length === this.#options.fail?.step) {
      failed()
      throw systemCallError(this.#options.fail.errno)
    }
    const result = effect()
    // Let concurrent verbs run: the seed decides how their steps interleave.
    for (let turns = this.#random.below(3); turns > 0; turns--) await Promise.resolve()
    return result
  }

  /** @internal Runs a sync, which makes everything durable, or each part with the probability `kept`. */
  sync(call: string, sync: (kept: number) => void): Promise<void> {
    const effect = this.#options.lies?.(call) === true ? noEffect : () => sync(1)
    return this.step(call, effect, () => sync(0.5), noEffect)
  }

  /** @internal Makes the names in a directory durable. */
  async syncDir(dir: string): Promise<void> {
    if (this.#stopped) throw systemCallError('EIO')
    try {
      await this.sync(`fsync ${dir === '' ? '.' : dir}`, (kept) => this.syncNames(dir, kept))
    } catch (error) {
      // Only a file system with attributes stops: see Protection in file-system.ts.
      if (this.steps.length === this.#options.fail?.step) this.#stopped = this.#options.protects ?? false
      throw error
    }
  }

  /** @internal */
  node(path: string): Node | undefined {
    return this.#names.get(path)
  }

  /** @internal */
  inode(path: string): Inode {
    const node = this.#names.get(path)
    if (node === undefined) throw systemCallError('ENOENT')
    if (node === 'dir') throw systemCallError('EISDIR')
    return node
  }

  /** @internal */
  paths(): Iterable<string> {
    return this.#names.keys()
  }

  /** @internal Changes names in the directory `dir`, without making the change durable. */
  change(dir: string, change: NameChange): void {
    if (this.#names.get(dir) !== 'dir') throw systemCallError('ENOENT')
    applyChange(this.#names, change)
    const changes = this.#changes.get(dir)
    if (changes === undefined) this.#changes.set(dir, [change])
    else changes.push(change)
  }

  /** @internal Makes the changes in a directory durable, each with the probability `kept`; the others are forgotten. */
  syncNames(dir: string, kept: number): void {
    if (this.#names.get(dir) !== 'dir') throw systemCallError('ENOENT')
    for (const change of this.#changes.get(dir) ?? []) {
      if (this.#random.chance(kept)) applyChange(this.#durable, change)
    }
    this.#changes.delete(dir)
  }

  /** @internal Makes the sectors of a file durable, each with the probability `kept`; the others are forgotten. */
  syncBytes(inode: Inode, kept: number): void {
    inode.durable = merge(inode, inode.seen.length, 0, () => this.#random.chance(kept))
    inode.unsynced.clear()
  }

  /** @internal Appends the bytes, or only the first ones, to a file. */
  write(inode: Inode, bytes: Uint8Array, whole: boolean): void {
    const from = inode.seen.length
    const length = whole ? bytes.length : this.#random.below(bytes.length)
    const seen = new Uint8Array(from + length)
    seen.set(inode.seen)
    seen.set(bytes.subarray(0, length), from)
    inode.seen = seen
    for (let sector = Math.floor(from / SECTOR); sector * SECTOR < seen.length; sector++)
      inode.unsynced.add(sector)
  }

  #successor(options: Partial<FaultyOptions>): FaultyDisk {
    const { cutAt: _cutAt, fail: _fail, ...kept } = this.#options
    return new FaultyDisk({ ...kept, seed: this.#random.below(2 ** 32), ...options })
  }
}

/** The file system of a disk. Each method makes its system calls. */
class FaultyFiles implements FileSystem {
  readonly protection?: Protection
  readonly #disk: FaultyDisk

  constructor(disk: FaultyDisk, protects: boolean) {
    this.#disk = disk
    if (!protects) return
    const set = (path: string, protection: Inode['protection']): Promise<void> =>
      disk.step(`ioctl ${path} ${protection}`, () => {
        disk.inode(path).protection = protection
      })
    this.protection = {
      sealed: (path) => set(path, 'immutable'),
      tail: (path) => set(path, 'append-only'),
      release: (path) => set(path, 'none'),
    }
  }

  readFile(path: string, limit: number): Promise<Uint8Array | undefined> {
    return this.#disk.step(`read ${path}`, () => {
      if (this.#disk.node(path) === undefined) return undefined
      const { seen } = this.#disk.inode(path)
      if (seen.length <= limit) return seen.slice()
      throw new StorageError('corrupt', `${path}: expected at most ${limit} bytes, found ${seen.length}`)
    })
  }

  exists(path: string): Promise<boolean> {
    return this.#disk.step(`lstat ${path}`, () => this.#disk.node(path) !== undefined)
  }

  list(dir: string): Promise<string[]> {
    return this.#disk.step(`readdir ${dir}`, () =>
      [...this.#disk.paths()]
        .filter((path) => path !== '' && parent(path) === dir)
        .map((path) => path.slice(dir.length + 1)),
    )
  }

  async create(path: string, bytes: Uint8Array, _mode: number): Promise<void> {
    const disk = this.#disk
    const inode: Inode = {
      seen: new Uint8Array(),
      durable: new Uint8Array(),
      unsynced: new Set(),
      protection: 'none',
    }
    await disk.step(`openat ${path}`, () => {
      if (disk.node(path) !== undefined) throw systemCallError('EEXIST')
      disk.change(parent(path), { add: { path, node: inode } })
    })
    await disk.step(
      `write ${path}`,
      () => disk.write(inode, bytes, true),
      () => disk.write(inode, bytes, false),
    )
    await disk.sync(`fsync ${path}`, (kept) => disk.syncBytes(inode, kept))
  }

  link(from: string, to: string): Promise<void> {
    return this.#disk.step(`link ${from} ${to}`, () => {
      const node = this.#free(from)
      if (this.#disk.node(to) !== undefined) throw systemCallError('EEXIST')
      this.#disk.change(parent(to), { add: { path: to, node } })
    })
  }

  rename(from: string, to: string): Promise<void> {
    return this.#disk.step(`rename ${from} ${to}`, () => {
      const node = this.#free(from)
      if (this.#disk.node(to) !== undefined) this.#free(to)
      this.#disk.change(parent(to), { add: { path: to, node }, remove: from })
    })
  }

  unlink(path: string): Promise<void> {
    return this.#disk.step(`unlink ${path}`, () => {
      this.#free(path)
      this.#disk.change(parent(path), { remove: path })
    })
  }

  makeDir(dir: string): Promise<void> {
    return this.#disk.step(`mkdir ${dir}`, () => {
      if (this.#disk.node(dir) !== undefined) throw systemCallError('EEXIST')
      this.#disk.change(parent(dir), { add: { path: dir, node: 'dir' } })
    })
  }

  removeDir(dir: string): Promise<void> {
    return this.#disk.step(`rmdir ${dir}`, () => {
      if (this.#disk.node(dir) === undefined) throw systemCallError('ENOENT')
      if ([...this.#disk.paths()].some((path) => path !== '' && parent(path) === dir))
        throw systemCallError('ENOTEMPTY')
      this.#disk.change(parent(dir), { remove: dir })
    })
  }

  syncDir(dir: string): Promise<void> {
    return this.#disk.syncDir(dir)
  }

  syncFile(path: string): Promise<void> {
    const disk = this.#disk
    return disk.sync(`fsync ${path}`, (kept) => disk.syncBytes(disk.inode(path), kept))
  }

  async openTail(path: string): Promise<TailHandle> {
    const disk = this.#disk
    const inode = await disk.step(`openat ${path}`, () => disk.inode(path))
    return {
      length: inode.seen.length,
      async append(_position, bytes) {
        await disk.step(
          `write ${path}`,
          () => disk.write(inode, bytes, true),
          () => disk.write(inode, bytes, false),
        )
        await disk.sync(`fdatasync ${path}`, (kept) => disk.syncBytes(inode, kept))
      },
      close: async () => undefined,
    }
  }

  async close(): Promise<void> {}

  /** Checks that the file's names may be changed, and returns the file. */
  #free(path: string): Inode {
    const inode = this.#disk.inode(path)
    if (inode.protection !== 'none') throw systemCallError('EPERM')
    return inode
  }
}

/** Returns a file after a power cut: its length is between the durable and the seen length, and each unsynced sector is kept at random. */
function survivor(inode: Inode, kept: number, fill: number, random: Random): Inode {
  const grown = inode.seen.length - inode.durable.length
  const length = inode.durable.length + ([0, grown, random.below(grown + 1)][random.below(3)] ?? 0)
  const durable = merge(inode, length, fill, () => random.chance(kept))
  const protection = random.chance(kept) ? inode.protection : 'none'
  return { seen: durable.slice(), durable, unsynced: new Set(), protection }
}

/** Returns `length` bytes: the durable ones, then fill, overwritten by the unsynced sectors that `isKept` selects. */
function merge(inode: Inode, length: number, fill: number, isKept: (sector: number) => boolean): Uint8Array {
  const bytes = new Uint8Array(length).fill(fill)
  bytes.set(inode.durable.subarray(0, length))
  for (const sector of inode.unsynced) {
    const from = sector * SECTOR
    if (from < length && isKept(sector))
      bytes.set(inode.seen.subarray(from, Math.min(from + SECTOR, length)), from)
  }
  return bytes
}

function applyChange(names: Map<string, Node>, change: NameChange): void {
  if (change.remove !== undefined) names.delete(change.remove)
  if (change.add !== undefined) names.set(change.add.path, change.add.node)
}

/** Reports whether all parent directories of a path exist. */
function isReachable(path: string, names: ReadonlyMap<string, Node>): boolean {
  return path === '' || (names.get(parent(path)) === 'dir' && isReachable(parent(path), names))
}

function parent(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

function noEffect(): void {}

function systemCallError(code: string): Error {
  return Object.assign(new Error(code), { code })
}
