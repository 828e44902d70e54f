/**
 * The background check of a ledger's sealed tiles and bundles: reads each from the disk, hashes it and compares it with the signed
 * tree. The check of a bundle includes the tiles of second trees over its entries.
 *
 * A pass takes one period. Its reads are spread evenly over the period, and never exceed the pace. A late pass catches up at that pace, for
 * example after the ledger was stopped for a while. The position is saved, so that a restart continues the pass.
 */
import { SCRUB_TYPE, scrubPayload, type ScrubEvent } from '@service-fs/format/scrub-entry'
import { codeOf } from '@service-fs/format/errors'
import { parseSealedName } from '@service-fs/storage/object-name'
import { TILE_WIDTH, tileSpan } from '@service-fs/tlog/tile'
import type { NewRecord } from '../record.ts'
import type { Runtime } from '../runtime.ts'
import type { SealedTiles } from '../sealed-tiles.ts'
import { parseTreePath, splitTreePath } from '../second-tree/tree-path.ts'
import { Pacer, Stopped, type Pace } from './pacer.ts'
import { SealedCheck, type Checked, type Finding, type ReadSealed } from './sealed-check.ts'
import { formatState, newState, parseState, type ScrubState } from './state.ts'
import type { CheckedLog, SecondTreeCheck } from './tree-check.ts'

export interface ScrubOptions {
  /** Reads sealed objects, from the medium rather than from a cache where the system can. */
  read: ReadSealed
  /** Returns the checks of the second trees that the ledger has now. The check calls it before each bundle. Default: none. */
  trees?(): Promise<readonly SecondTreeCheck[]>
  /** Stores the position of the check. The check ignores errors of `save`; without a stored position, it starts again after a restart. */
  position: { load(): Promise<string | undefined>; save(text: string): Promise<void> }
  /** Returns a new identifier for an entry. It must be unique and impossible to guess. */
  newId(): string
  /** The duration of a pass in milliseconds. Default: 30 days. */
  periodMs?: number
  /** Default: {@link DEFAULT_PACE}. */
  pace?: Partial<Pace>
  /** Called with each new finding. Must not throw. */
  damaged?(finding: Finding): void
  /** Called when a damaged file has the right bytes again. Must not throw. */
  repaired?(path: string): void
}

export interface ScrubStatus {
  /** The number of bundles that the current pass has checked, and of all sealed bundles. */
  checked: number
  bundles: number
  /** Damaged files. */
  damaged: number
  /** The end of the newest complete pass, in milliseconds since the Unix epoch; undefined before a pass was completed. */
  passed: number | undefined
  /** The number of bytes that were read since the ledger was opened. */
  bytes: number
}

export interface ScrubParts {
  sealed: SealedTiles
  runtime: Runtime
  /** Appends a record whose identifier is new. */
  append: (record: NewRecord) => Promise<unknown>
}

export const DEFAULT_PERIOD_MS: number = 30 * 86_400_000
export const DEFAULT_PACE: Pace = { bytesPerSecond: 5_000_000, duty: 0.05 }

/** The longest pause. After it, the check looks again at the clock, the number of bundles and the damaged files. */
const LOOK_AGAIN_MS = 3_600_000
/** The position is saved at most this often, except after a finding. */
const SAVE_MS = 10_000
/** The pause after an error other than damage, such as too many open files. */
const RETRY_MS = 60_000

export class Scrub {
  readonly #options: ScrubOptions
  readonly #parts: ScrubParts
  readonly #pacer: Pacer
  readonly #check: SealedCheck
  readonly #periodMs: number
  #state: ScrubState
  #savedAt = Number.NEGATIVE_INFINITY
  #lookedAt: number | undefined
  #running: Promise<void> = Promise.resolve()

  constructor(options: ScrubOptions, parts: ScrubParts) {
    const { sealed, runtime } = parts
    this.#options = options
    this.#parts = parts
    this.#pacer = new Pacer(runtime, { ...DEFAULT_PACE, ...options.pace })
    this.#check = new SealedCheck(sealed, runtime, options.read, this.#pacer)
    this.#periodMs = options.periodMs ?? DEFAULT_PERIOD_MS
    this.#state = newState(runtime.now())
  }

  /** Starts to check; see {@link stop}. */
  start(): void {
    this.#running = this.#run().catch(() => undefined)
  }

  /** Stops the check and saves its position. */
  async stop(): Promise<void> {
    this.#pacer.stop()
    await this.#running
  }

  status(): ScrubStatus {
    const { next, findings, passed } = this.#state
    const damaged = findings.size
    return { checked: next, bundles: this.#bundles, damaged, passed, bytes: this.#check.bytes }
  }

  get #bundles(): number {
    return this.#parts.sealed.entries / TILE_WIDTH
  }

  async #run(): Promise<void> {
    const text = await this.#options.position.load().catch(() => undefined)
    const state = text === undefined ? undefined : parseState(text)
    if (state !== undefined) this.#state = state
    try {
      for (;;) {
        await this.#orLater(() => this.#step())
      }
    } finally {
      await this.#save()
    }
  }

  /** Tries again later after an error other than damage. @throws Stopped; `closed` when the storage is closed */
  async #orLater(step: () => Promise<void>): Promise<void> {
    try {
      await step()
    } catch (error) {
      this.#pacer.check()
      if (error instanceof Stopped || codeOf(error) === 'closed') throw error
      await this.#pacer.pause(RETRY_MS)
    }
  }

  /** Checks the next bundle when it is due, or ends the pass, or looks at damaged files again. */
  async #step(): Promise<void> {
    const { runtime } = this.#parts
    await this.#pacer.pause(0)
    await this.#lookAgain()
    const wait = this.#dueAt() - runtime.now()
    if (wait > 0) return this.#pacer.pause(Math.min(wait, LOOK_AGAIN_MS))
    const { next } = this.#state
    if (next >= this.#bundles) return this.#endPass()
    await this.#note(await this.#bundle(next, await this.#trees()))
    this.#state.next = next + 1
    if (runtime.monotonic() - this.#savedAt >= SAVE_MS) await this.#save()
  }

  async #trees(): Promise<readonly SecondTreeCheck[]> {
    return (await this.#options.trees?.()) ?? []
  }

  /** Checks a bundle, and the tiles of all trees that its entries complete. */
  async #bundle(index: number, trees: readonly SecondTreeCheck[]): Promise<Checked> {
    const check = this.#check
    const { text, ...found } = await check.bundle(index)
    const log: CheckedLog = {
      pacer: this.#pacer,
      pause: check.pause,
      bundle: async (other) => (other === index ? text : check.textOf(other)),
    }
    const checked = [found]
    for (const tree of trees) checked.push(await tree.bundle(index, text, log))
    return {
      paths: checked.flatMap(({ paths }) => paths),
      findings: checked.flatMap(({ findings }) => findings),
    }
  }

  /** Returns the time when the next bundle is due. The last bundle is due at the end of the period. */
  #dueAt(): number {
    const now = this.#parts.runtime.now()
    // The clock was set back.
    if (this.#state.started > now) this.#state.started = now
    const { started, next } = this.#state
    const share = this.#bundles === 0 ? 1 : Math.min(1, (next + 1) / this.#bundles)
    return started + this.#periodMs * share
  }

  async #endPass(): Promise<void> {
    const bundles = this.#bundles
    const now = this.#parts.runtime.now()
    const { started, findings } = this.#state
    this.#state.started = now
    this.#state.next = 0
    this.#check.forget()
    if (bundles > 0) {
      this.#state.passed = now
      const from = new Date(started).toISOString()
      await this.#record({ event: 'passed', bundles, damaged: findings.size, started: from })
    }
    await this.#save()
  }

  /** Checks again, at the start and then once an hour, whether damaged files have been repaired. */
  async #lookAgain(): Promise<void> {
    const now = this.#parts.runtime.monotonic()
    const { findings } = this.#state
    if (findings.size === 0 || (this.#lookedAt !== undefined && now - this.#lookedAt < LOOK_AGAIN_MS)) return
    const trees = await this.#trees()
    this.#lookedAt = now
    this.#check.forget()
    for (const bundle of new Set([...findings.keys()].map(bundleOf))) {
      if (bundle === undefined || bundle >= this.#bundles) continue
      await this.#note(await this.#bundle(bundle, trees))
    }
    for (const path of findings.keys()) if (!isCovered(path, trees)) findings.delete(path)
  }

  /** Records the result of a check: each new finding once, and each file that has been repaired. */
  async #note({ paths, findings: damaged }: Checked): Promise<void> {
    const { findings } = this.#state
    let isNews = false
    for (const finding of damaged) {
      const known = findings.get(finding.path)
      if (known?.recorded === true) continue
      if (known === undefined) this.#options.damaged?.(finding)
      const recorded = await this.#record({ event: 'damaged', ...finding })
      findings.set(finding.path, { ...finding, recorded })
      isNews = true
    }
    for (const path of paths) {
      const known = findings.get(path)
      if (known === undefined || damaged.some((finding) => finding.path === path)) continue
      // A recorded finding stays until the ledger has recorded the repair, too.
      if (known.recorded && !(await this.#record({ event: 'repaired', path }))) continue
      findings.delete(path)
      this.#options.repaired?.(path)
      isNews = true
    }
    if (isNews) await this.#save()
  }

  /** Appends an entry. Returns false when the ledger accepts no appends now. */
  async #record(event: ScrubEvent): Promise<boolean> {
    const { append, runtime } = this.#parts
    const payload = scrubPayload(event, runtime.codec)
    try {
      await append({ id: `scrub-${this.#options.newId()}`, type: SCRUB_TYPE, payload })
      return true
    } catch {
      return false
    }
  }

  async #save(): Promise<void> {
    this.#savedAt = this.#parts.runtime.monotonic()
    await this.#options.position.save(formatState(this.#state)).catch(() => undefined)
  }
}

/** Returns the bundle whose check covers the file; undefined for a path that no check covers. */
function bundleOf(path: string): number | undefined {
  try {
    const name = splitTreePath(path) === undefined ? parseSealedName(path) : parseTreePath(path).name
    if (name.kind === 'bundle') return name.index
    if (name.kind !== 'tile') return undefined
    const { level, index } = name
    return tileSpan({ level, index, width: TILE_WIDTH }).end / TILE_WIDTH - 1
  } catch {
    return undefined
  }
}

/** Reports whether a check covers the file. The folder of a second tree may have been removed. */
function isCovered(path: string, trees: readonly SecondTreeCheck[]): boolean {
  const algorithm = splitTreePath(path)?.algorithm
  if (algorithm !== undefined && !trees.some((tree) => tree.algorithm === algorithm)) return false
  return bundleOf(path) !== undefined
}
