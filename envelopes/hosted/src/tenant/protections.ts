/** Reports in /readyz which protections keep a running tenant's ledger from being changed. It reports only verified protections. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { bundlePath } from '@service-fs/storage/object-name'
import { isImmutable, onlyGrows } from '@service-fs/storage-posix/probe'
import { survey } from '@service-fs/storage-posix/survey'
import type { FlagsSetter } from './immutable.ts'
import { fileSystemOf, processFacts } from '../process/process-facts.ts'

export interface ProtectedLedger {
  dir: string
  /** Returns the number of sealed entries. */
  sealed(): number
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
    for (const { dir } of this.#ledgers) {
      // If no process sets attributes and the first file has none, skip the others.
      if (flags === undefined && !isImmutable(join(dir, 'origin'))) continue
      const found = await survey(dir, { pause, ...(flags === undefined ? {} : { flags }) })
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

/** Reports whether the identity files and a random sample of bundles are immutable. */
function samplesHold(ledger: ProtectedLedger): boolean {
  const bundles = Math.floor(ledger.sealed() / PER_BUNDLE)
  const some = Array.from({ length: Math.min(SAMPLES, bundles) }, () =>
    bundlePath(Math.floor(Math.random() * bundles)),
  )
  for (const path of ['README.txt', 'origin', 'keys/ed25519.vkey', ...some])
    if (!isImmutable(join(ledger.dir, path))) return false
  return true
}

/** Reports whether the newest tail file is append-only; true when there is none. */
async function tailGrows(dir: string): Promise<boolean> {
  const names = await readdir(join(dir, 'tail')).catch((): string[] => [])
  const newest = names.sort().at(-1)
  return newest === undefined || onlyGrows(join(dir, 'tail', newest))
}
