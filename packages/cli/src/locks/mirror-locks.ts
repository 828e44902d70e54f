/** Extends the locks of a mirror in an S3 store to the end of the ledger's duties, and holds what the ledger's holds keep. */
import { ahead } from '@service-fs/client/ahead'
import { bundleDuties, longer, NO_DUTY, type KeptLong } from '@service-fs/client/bundle-duties'
import { ClientError } from '@service-fs/client/errors'
import { readDuties, type OpenedLedger } from '@service-fs/client/retention'
import { MAX_LOCK_DAYS, type LockMode } from '@service-fs/s3/object-lock'
import type { S3Objects } from '@service-fs/s3/objects'
import { formatObjectName } from '@service-fs/storage/object-name'
import { levelWidth, tileCount } from '@service-fs/tlog/tile'
import { asStoreError } from '../s3/store-errors.ts'

/** The result of one run. */
export interface LocksReport {
  /** The entries of the mirror. */
  size: number
  /** The full bundles, and how many of them have a record that a duty keeps. The other entries are in the tail, which has no lock. */
  bundles: number
  kept: number
  /** The last moment that a duty states; absent if none states one. */
  until?: string
  /** The objects whose locks were extended, and the legal holds that were put and lifted. */
  extended: number
  held: number
  lifted: number
  /** The duty entries that break a rule and therefore have no effect. */
  problems: { index: number; problem: string }[]
}

export interface LockOptions {
  /** Lifts the legal holds of objects that no hold of the ledger keeps. */
  lift: boolean
  progress: (done: number, total: number) => void
}

/** The number of objects whose locks are read or set at a time. */
const WIDTH = 8
const DAY = 86_400_000
/** A store may refuse a lock that is longer. A duty that ends later is locked so long, and longer by each later run. */
const LONGEST = (MAX_LOCK_DAYS - 25) * DAY
/** A lock of the longest time is extended at most once in this time. */
const MONTH = 30 * DAY
/** The most keys of a ledger. */
const MOST_KEYS = 1000

/** An object, and how long it must be kept. */
interface Due {
  name: string
  kept: KeptLong
}

/**
 * Reads and verifies the whole mirror before it changes a lock. A bundle is kept as long as the records in it; what proves a record (hash
 * tiles, keys, `origin`, `README.txt`, `verify.sh`) as long as any record.
 * @throws ClientError `false` when an entry differs from the tree; `refused` when the mirror has no locks
 */
export async function extendLocks(
  objects: S3Objects,
  { tree }: OpenedLedger,
  { lift, progress }: LockOptions,
): Promise<LocksReport> {
  const mode = await modeOf(objects)
  const { duties, problems } = await readDuties(tree)
  const bundles = await bundleDuties(tree, duties)
  const full = tileCount('entries', tree.size)
  const all = bundles.reduce(longer, NO_DUTY)
  const due = [...dueBundles(bundles.slice(0, full)), ...(await dueProofs(objects, tree.size, all))]
  const report: LocksReport = {
    size: tree.size,
    bundles: full,
    kept: bundles.slice(0, full).filter(({ until, isHeld }) => until !== '' || isHeld).length,
    ...(all.until === '' ? {} : { until: all.until }),
    extended: 0,
    held: 0,
    lifted: 0,
    problems,
  }
  const run = new Run(objects, mode, lift, report)
  let done = 0
  for await (const _ of ahead(due.length, WIDTH, (i) => run.apply(due[i] as Due)))
    progress((done += 1), due.length)
  return report
}

/** Returns the mode of the locks of a mirror. @throws ClientError `refused` when it has none */
async function modeOf(objects: S3Objects): Promise<LockMode> {
  const mode = await asStoreError(() => objects.lockModeOf('origin'))
  if (mode !== undefined) return mode
  const place = objects.placeOf('origin')
  throw new ClientError('refused', `${place}: expected the lock of a mirror made with --retain, found none`)
}

function dueBundles(bundles: readonly KeptLong[]): Due[] {
  return bundles.map((kept, index) => ({ name: formatObjectName({ kind: 'bundle', index }), kept }))
}

/** Returns what proves the records: each record rests on the keys, and on hash tiles of each level. */
async function dueProofs(objects: S3Objects, size: number, kept: KeptLong): Promise<Due[]> {
  const keys = await asStoreError(() => objects.list('keys', MOST_KEYS))
  const names = ['origin', 'README.txt', ...keys.map(({ name }) => `keys/${name}`)]
  // A mirror of a ledger that an earlier version made has none.
  if (await asStoreError(() => objects.has('verify.sh'))) names.push('verify.sh')
  for (let level = 0; levelWidth(level, size) > 0; level++)
    for (let index = 0; index < tileCount(level, size); index++)
      names.push(formatObjectName({ kind: 'tile', level, index }))
  return names.map((name) => ({ name, kept }))
}

class Run {
  readonly #objects: S3Objects
  readonly #mode: LockMode
  readonly #lift: boolean
  readonly #report: LocksReport

  constructor(objects: S3Objects, mode: LockMode, lift: boolean, report: LocksReport) {
    this.#objects = objects
    this.#mode = mode
    this.#lift = lift
    this.#report = report
  }

  apply({ name, kept }: Due): Promise<void> {
    return asStoreError(async () => {
      if (kept.until !== '' && (await this.#extend(name, Date.parse(kept.until)))) this.#report.extended += 1
      if (kept.isHeld && (await this.#objects.setHold(name, true))) this.#report.held += 1
      if (!kept.isHeld && this.#lift && (await this.#objects.setHold(name, false))) this.#report.lifted += 1
    })
  }

  async #extend(name: string, end: number): Promise<boolean> {
    const now = Date.now()
    if (end <= now) return false
    const longest = now + LONGEST
    const until = Math.min(end, longest)
    const enough = end > longest ? longest - MONTH : end
    // A store may keep whole seconds only.
    return this.#objects.extendLock(name, { mode: this.#mode, until: Math.ceil(until / 1000) * 1000, enough })
  }
}
