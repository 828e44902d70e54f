/** Verifies a ledger over HTTP: every entry, every full and partial tile, and a sample of its proofs. */
import type { Checkpoint } from '@service-fs/tlog/checkpoint'
import type { Edge } from '@service-fs/tlog/edge'
import type { Hash } from '@service-fs/tlog/hash'
import { verifyConsistency, verifyInclusion } from '@service-fs/tlog/proof'
import { tilePath, type Tile } from '@service-fs/tlog/tile'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'
import { BundleCheck } from './bundle-check.ts'
import { membersOf, type Connection } from './http.ts'
import type { LedgerFiles } from './ledger-files.ts'
import { nativeCodec, nativeHasher } from '@service-fs/native/native'
import { ownKeyFiles } from './key-files.ts'
import { Problems } from './problems.ts'
import { RecordCheck } from './records.ts'
import { LEFT_OUT, leftOutText } from './second-tree/second-tree.ts'
import { SecondTrees } from './second-tree/second-trees.ts'
import { httpSource, type LogSource } from './source.ts'
import { Trust, type Opened } from './trust.ts'
import {
  checkSignatures,
  confirmDuplicates,
  confirmExtensions,
  type LedgerReport,
  type VerifyOptions,
} from './verify.ts'
import { TreeWalk, type Beside, type TreeFiles } from './walk.ts'

/** The number of bundles, with their hash tiles, that are requested ahead. */
const READ_AHEAD = 8
/** The number of proofs of each kind to request. */
const SAMPLES = 9

/** A source without files, because HTTP cannot list files. */
const NO_FILES: LedgerFiles = {
  place: '',
  read: async () => undefined,
  list: async () => [],
  below: () => NO_FILES,
}

/** Returns the pinned keys. If no keys are pinned, returns the keys that the ledger's contract publishes. @throws ClientError */
export async function trustOf(connection: Connection, options: VerifyOptions): Promise<Trust> {
  return Trust.pinned(options) ?? shownTrust(connection)
}

async function shownTrust(connection: Connection): Promise<Trust> {
  return Trust.shown(await shownKeys(connection), 'v1/contract')
}

/** Reads the keys that `/v1/contract` publishes. */
export async function shownKeys(connection: Connection): Promise<string[]> {
  return contractKeys(await connection.askJson('v1/contract'))
}

/** Returns the keys in a contract's JSON value. @throws ClientError `malformed` */
export function contractKeys(contract: unknown): string[] {
  const { vkeys } = membersOf(contract)
  if (!Array.isArray(vkeys) || !vkeys.every((vkey) => typeof vkey === 'string')) {
    throw new ClientError('malformed', 'v1/contract: expected vkeys')
  }
  return vkeys
}

/**
 * Verifies a ledger over HTTP, and its audit sub-ledger if the caller may read it. Reports problems of the content; @throws
 * ClientError when the ledger can't be read
 */
export async function verifyUrl(connection: Connection, options: VerifyOptions = {}): Promise<LedgerReport> {
  const trust = await trustOf(connection, options)
  const report = await new UrlCheck(connection, options, trust, undefined).run()
  if (options.withoutAudit === true) return report
  const { copy, ...others } = options
  const own = copy === undefined ? others : { ...others, copy: copy.audit() }
  const audit = await auditReport(connection.audit(), own, report)
  return audit === undefined ? report : { ...report, ok: report.ok && audit.ok, audit }
}

/** Verifies only the audit sub-ledger, with the given origin and keys. @throws ClientError when it can't be read */
export function verifyAuditUrl(
  connection: Connection,
  options: VerifyOptions,
  trust: Trust,
  origin: string,
): Promise<LedgerReport> {
  return new UrlCheck(connection.audit(), options, trust, origin).run()
}

async function auditReport(
  connection: Connection,
  options: VerifyOptions,
  main: LedgerReport,
): Promise<LedgerReport | undefined> {
  const origin = `${main.origin}/audit`
  let trust: Trust
  try {
    const pinned = Trust.pinned(options)
    trust = pinned?.knows(origin) === true ? pinned : await shownTrust(connection)
  } catch (error) {
    const status = error instanceof ClientError ? error.status : undefined
    if (status !== 401 && status !== 403 && status !== 404) throw error
    main.notes.push(`the audit sub-ledger was not verified: ${messageOf(error)}`)
    return undefined
  }
  return new UrlCheck(connection, options, trust, origin).run()
}

class UrlCheck {
  readonly #connection: Connection
  readonly #options: VerifyOptions
  readonly #trust: Trust
  readonly #expectedOrigin: string | undefined
  readonly #problems = new Problems()
  readonly #source: LogSource
  readonly #notes: string[] = []

  constructor(
    connection: Connection,
    options: VerifyOptions,
    trust: Trust,
    expectedOrigin: string | undefined,
  ) {
    this.#connection = connection
    this.#options = options
    this.#trust = trust
    this.#expectedOrigin = expectedOrigin
    this.#source = httpSource(connection)
  }

  async run(): Promise<LedgerReport> {
    const note = await this.#source.checkpoint()
    const opened = this.#open(note)
    const { origin, size, root } = opened.checkpoint
    const records = new RecordCheck(this.#problems, size, this.#options.each)
    const samples = new Samples(opened.checkpoint, this.#problems)
    const trees = new SecondTrees({
      origin,
      files: NO_FILES,
      problems: this.#problems,
      notes: this.#notes,
      pinned: () => [],
    })
    const walk = await this.#walk(size, samples, records, trees)
    const { copy } = this.#options
    // The walk verifies everything that is copied, so the server's proofs are not needed.
    const proofs = copy === undefined ? await this.#proofs(opened.checkpoint, samples) : 0
    await confirmDuplicates(records.suspects, size, this.#source, tilePath, this.#problems)
    await confirmExtensions(records.extensions, size, this.#source, this.#problems)
    this.#notes.push(...(await checkSignatures(records, size, this.#source, this.#options, this.#problems)))
    const second = await trees.end({
      size,
      source: this.#source,
      bindings: records.bindings,
      isRemote: true,
    })
    if (copy !== undefined && this.#problems.count === 0) {
      for (const { algorithm } of second)
        await copy.secondTree(`${algorithm}/${LEFT_OUT}`, nativeCodec.utf8Encode(leftOutText(algorithm)))
      const keys = await ownKeyFiles(() => shownKeys(this.#connection), this.#trust, origin)
      await copy.end({ origin, size, root, note, keys })
    }
    const { entries, bundles, tiles } = walk.counts
    return {
      ok: this.#problems.count === 0,
      place: this.#connection.url,
      origin,
      size,
      root,
      entries,
      records: records.records,
      time: records.time,
      checked: { bundles, tiles, commits: 1, proofs, files: 0 },
      trust: this.#trust.toString(),
      pinned: this.#trust.pinned,
      witnesses: opened.witnesses,
      notes: [...this.#notes, ...records.notes],
      problems: this.#problems.list,
      problemCount: this.#problems.count,
      ...(second.length === 0 ? {} : { trees: second }),
    }
  }

  /** Verifies the signed checkpoint. Throws when the verification fails, because then there is nothing to compare the tree with. */
  #open(note: string): Opened {
    return this.#trust.openPublished(note, this.#expectedOrigin)
  }

  async #walk(size: number, samples: Samples, records: RecordCheck, others: SecondTrees): Promise<TreeWalk> {
    const { progress, each } = this.#options
    const walk = new TreeWalk({
      files: new RemoteFiles(this.#source),
      size,
      beside: samples,
      records,
      problems: this.#problems,
      hasher: nativeHasher,
      width: READ_AHEAD,
      check: each === undefined ? new BundleCheck(records.key) : undefined,
      copy: this.#options.copy,
      others,
      progress: progress && ((entries) => progress(this.#connection.url, entries, size)),
    })
    await walk.run()
    return walk
  }

  /** Verifies sample proofs, and checks that a newer checkpoint is consistent with this checkpoint. */
  async #proofs(checkpoint: Checkpoint, samples: Samples): Promise<number> {
    let proofs = 0
    if (checkpoint.size === 0) return proofs
    try {
      for (const index of samples.indexes) proofs += await this.#inclusion(checkpoint, index, samples)
      for (const [size, root] of samples.roots) proofs += await this.#consistency(size, root, checkpoint)
    } catch (error) {
      // A static host serves tiles, but has no routes that compute proofs.
      if (!(error instanceof ClientError) || error.status !== 404) throw error
    }
    const later = this.#open(await this.#source.checkpoint()).checkpoint
    if (later.size < checkpoint.size)
      this.#problems.add({ file: 'checkpoint' }, `a size of at least ${checkpoint.size}`, String(later.size))
    else if (later.size > checkpoint.size)
      proofs += await this.#consistency(checkpoint.size, checkpoint.root, later)
    return proofs
  }

  async #inclusion(checkpoint: Checkpoint, index: number, samples: Samples): Promise<number> {
    const { size, root } = checkpoint
    const leafHash = samples.leaves.get(index)
    if (leafHash === undefined) return 0
    const path = `v1/proof/inclusion?index=${index}&size=${size}`
    const proof = hashesOf(await this.#connection.askJson(path), path)
    return this.#proved(path, index, () =>
      verifyInclusion({ index, size, leafHash, root, proof }, nativeHasher),
    )
  }

  async #consistency(from: number, fromRoot: Hash, checkpoint: Checkpoint): Promise<number> {
    const { size: to, root: toRoot } = checkpoint
    const path = `v1/proof/consistency?from=${from}&to=${to}`
    const proof = hashesOf(await this.#connection.askJson(path), path)
    return this.#proved(path, from - 1, () =>
      verifyConsistency({ from, to, fromRoot, toRoot, proof }, nativeHasher),
    )
  }

  #proved(file: string, index: number, check: () => void): number {
    try {
      check()
    } catch (error) {
      this.#problems.addError({ file, index }, error, 'a proof that verifies')
    }
    return 1
  }
}

function hashesOf(value: unknown, path: string): Hash[] {
  const { hashes } = membersOf(value)
  if (!Array.isArray(hashes) || !hashes.every((hash) => typeof hash === 'string')) {
    throw new ClientError('malformed', `${path}: expected hashes`)
  }
  return hashes
}

/** Keeps leaf hashes and roots, spread over the walked tree, whose proofs are requested later. */
class Samples implements Beside {
  readonly leaves: Map<number, Hash> = new Map()
  readonly roots: Map<number, Hash> = new Map()
  readonly indexes: ReadonlySet<number>
  readonly #sizes: ReadonlySet<number>
  readonly #checkpoint: Checkpoint
  readonly #problems: Problems

  constructor(checkpoint: Checkpoint, problems: Problems) {
    const { size } = checkpoint
    this.#checkpoint = checkpoint
    this.#problems = problems
    const spread = Array.from({ length: SAMPLES }, (_, i) => Math.floor(((size - 1) * i) / (SAMPLES - 1)))
    this.indexes = new Set(size === 0 ? [] : spread)
    this.#sizes = new Set(spread.filter((n) => n > 0 && n < size))
  }

  async reach(): Promise<void> {}

  compares(from: number, to: number): boolean {
    const { size } = this.#checkpoint
    if (size > from && size < to) return true
    for (const index of this.indexes) if (index >= from && index < to) return true
    for (const at of this.#sizes) if (at > from && at < to) return true
    return false
  }

  entry(): undefined {
    return undefined
  }

  leaf(index: number, leaf: Hash): void {
    if (this.indexes.has(index)) this.leaves.set(index, leaf)
  }

  at(edge: Edge): void {
    const { size, root } = this.#checkpoint
    if (this.#sizes.has(edge.size)) this.roots.set(edge.size, edge.root(nativeHasher))
    if (edge.size !== size) return
    const found = edge.root(nativeHasher)
    if (found !== root)
      this.#problems.add({ file: 'checkpoint' }, `root hash ${found} of the ${size} entries`, root)
  }
}

/** Reads the tiles over HTTP. The server must have every tile. */
class RemoteFiles implements TreeFiles {
  readonly #source: LogSource

  constructor(source: LogSource) {
    this.#source = source
  }

  name(tile: Tile): string {
    return tilePath(tile)
  }

  required(): boolean {
    return true
  }

  hashTile({ level, index, width }: Tile): Promise<Hash[]> {
    return this.#source.hashTile(level as number, index, width)
  }

  bundle({ index, width }: Tile): Promise<Uint8Array[]> {
    return this.#source.bundle(index, width)
  }
}
