/** Reports in /readyz which protections keep a running tenant's ledger from being changed. It reports only verified protections. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ShownTree } from '@service-fs/wire/shown-trees'
import { formatTreePath } from '@service-fs/ledger/second-tree/tree-path'
import { bundlePath } from '@service-fs/storage/object-name'
import { isImmutable, onlyGrows } from '@service-fs/storage-posix/probe'
import { survey } from '@service-fs/storage-posix/survey'
import type { FlagsSetter } from './immutable.ts'
import { treeFolders } from './tree-folders.ts'
import { fileSystemOf, processFacts } from '../process/process-facts.ts'

export interface ProtectedLedger {
  dir: string
  /** Returns the number of sealed entries. */
  sealed(): number
  /** Returns its second trees. Default: none. */
  trees?(): readonly Pick<ShownTree, 'hash' | 'signed_size'>[]
}

interface Checked {
  /** When the check ended. */
  at: string
  /** Whether every sealed file of both ledgers was immutable. The number of files is omitted, because only readers may learn it. */
  all: boolean
}

/** The member `protections` of /readyz. */
export interface ProtectionsJson extends Record<string, unknown> {
  /** Whether every sealed file was immutable in the last full check, and a new sample still is. */
  sealed_immutable: boolean
  /** Whether the newest tail files are append-only now. */
  tail_append_only: boolean
  /** Which process sets these attributes. */
  set_by: 'supervisor' | 'daemon' | 'nobody'
  /** The reason why no process sets them. */
  reason?: string
  /** The full check after the start; absent until it ends, and when no attributes are set. */
  checked?: Checked
  /** The file system, on Linux. */
  file_system?: string
  uid?: number
  no_new_privileges?: boolean
  /** Whether the daemon's own process could clear the attributes. */
  daemon_may_clear?: boolean
}

const PAUSE_MS = 10
const SAMPLES = 3
const PER_BUNDLE = 256
/** How long a result is cached. */
const FRESH_MS = 1000

export class Protections {
  readonly #ledgers: readonly ProtectedLedger[]
  readonly #setter: () => FlagsSetter
  readonly #closing = new AbortController()
  #checked: Checked | undefined
  #checking: Promise<void> = Promise.resolve()
  #newest: { at: number; found: Promise<ProtectionsJson> } | undefined

  constructor(ledgers: readonly ProtectedLedger[], setter: () => FlagsSetter) {
    this.#ledgers = ledgers
    this.#setter = setter
  }

  /** Checks all sealed files, a few at a time, and sets missing attributes where possible. `report` receives errors. */
  start(report: (error: unknown) => void): void {
    this.#checking = this.#checking
      .then(() => this.#check())
      .catch((error: unknown) => {
        if (!this.#closing.signal.aborted) report(error)
      })
  }

  /** Stops the check. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#checking
  }

  now(): Promise<ProtectionsJson> {
    const at = performance.now()
    if (this.#newest === undefined || at - this.#newest.at > FRESH_MS)
      this.#newest = { at, found: this.#find() }
    return this.#newest.found
  }

  async #check(): Promise<void> {
    const pause = (): Promise<void> =>
      sleep(PAUSE_MS, undefined, { ref: false, signal: this.#closing.signal })
    const { flags } = this.#setter()
    const counts = { files: 0, immutable: 0 }
    for (const ledger of this.#ledgers) {
      const { dir } = ledger
      // If no process sets attributes and the first file has none, skip the others.
      if (flags === undefined && !isImmutable(join(dir, 'origin'))) continue
      const trees = ledger.trees === undefined ? [] : await treeFolders(dir)
      const found = await survey(dir, { pause, trees, ...(flags === undefined ? {} : { flags }) })
      counts.files += found.sealed
      counts.immutable += found.immutable
    }
    if (counts.files > 0)
      this.#checked = { at: new Date().toISOString(), all: counts.immutable === counts.files }
  }

  async #find(): Promise<ProtectionsJson> {
    const facts = processFacts('self')
    const setter = this.#setter()
    const checked = this.#checked
    const all = checked?.all === true
    const fileSystem = await fileSystemOf(this.#ledgers[0]?.dir ?? '/')
    return {
      sealed_immutable: all && (await this.#every((ledger) => samplesHold(ledger))),
      tail_append_only: await this.#every((ledger) => tailGrows(ledger.dir)),
      set_by: setter.by,
      ...(setter.by === 'nobody' ? { reason: setter.reason } : {}),
      ...(checked === undefined ? {} : { checked }),
      ...(fileSystem === undefined ? {} : { file_system: fileSystem }),
      ...(facts === undefined
        ? {}
        : { uid: facts.uid, no_new_privileges: facts.noNewPrivileges, daemon_may_clear: facts.setsFlags }),
    }
  }

  async #every(holds: (ledger: ProtectedLedger) => boolean | Promise<boolean>): Promise<boolean> {
    for (const ledger of this.#ledgers) if (!(await holds(ledger))) return false
    return true
  }
}

/** Reports whether the identity files, a random sample of bundles, and a random tile of each second tree are immutable. */
function samplesHold(ledger: ProtectedLedger): boolean {
  const bundles = Math.floor(ledger.sealed() / PER_BUNDLE)
  const some = Array.from({ length: Math.min(SAMPLES, bundles) }, () => bundlePath(below(bundles)))
  const ofTrees = (ledger.trees?.() ?? []).flatMap(treeSample)
  for (const path of ['README.txt', 'origin', 'keys/ed25519.vkey', ...some, ...ofTrees])
    if (!isImmutable(join(ledger.dir, path))) return false
  return true
}

/** Returns the paths of the identity files of a second tree and of one of its tiles; none before its first checkpoint. */
function treeSample({
  hash: algorithm,
  signed_size: size,
}: Pick<ShownTree, 'hash' | 'signed_size'>): string[] {
  if (size === 0) return []
  const tiles = Math.floor(size / PER_BUNDLE)
  const names = [
    { kind: 'origin' },
    { kind: 'vkey', name: 'ed25519' },
    ...(tiles === 0 ? [] : [{ kind: 'tile', level: 0, index: below(tiles) } as const]),
  ] as const
  return names.map((name) => formatTreePath({ algorithm, name }))
}

/** Returns a random integer from 0 to `count` - 1. */
function below(count: number): number {
  return Math.floor(Math.random() * count)
}

/** Reports whether the newest tail file is append-only; true when there is none. */
async function tailGrows(dir: string): Promise<boolean> {
  const names = await readdir(join(dir, 'tail')).catch((): string[] => [])
  const newest = names.sort().at(-1)
  return newest === undefined || onlyGrows(join(dir, 'tail', newest))
}
