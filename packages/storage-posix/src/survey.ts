/** Counts the sealed files and the tail files of a ledger directory, and how they are protected. */
import { lstatSync, type Stats } from 'node:fs'
import { readdir } from 'node:fs/promises'
import type { FileFlags } from './flags.ts'
import { isImmutable, onlyGrows } from './probe.ts'

/** Counts of files. `…Paths` and `mutableTails` name some of them, relative to the ledger directory. */
export interface Survey {
  /** Sealed files: README.txt, verify.sh, origin, and all files in keys/ and tile/; also those in the folders of second trees. */
  sealed: number
  immutable: number
  /** Sealed files that are not immutable. */
  mutablePaths: string[]
  /** Sealed files whose mode permits writing. */
  writable: number
  writablePaths: string[]
  /** Files among the sealed ones that are neither regular files nor directories. */
  foreignPaths: string[]
  tails: number
  /** Append-only tail files. */
  growing: number
  /** Other tail files. */
  mutableTails: string[]
}

export interface SurveyOptions {
  /** Sets missing attributes. Default: sets none. */
  readonly flags?: FileFlags
  /** Awaited after every 50 files. */
  readonly pause?: () => Promise<void>
  /** The names of the folders of second trees in `dir`. Default: none. */
  readonly trees?: readonly string[]
}

const NAMED = 5
const PAUSE_EVERY = 50
/** A file that is being sealed has two names until its directory is synced. Until then, setting its attribute fails. */
const TRIES = 5
const TRIES_WITH_TWO_NAMES = 100
const BETWEEN_TRIES_MS = 100

/**
 * Examines every sealed file and every tail file of the ledger in `dir`, without its audit sub-ledger. With `flags`, first sets missing
 * attributes. A file whose attribute cannot be set counts as unprotected.
 */
export async function survey(dir: string, options: SurveyOptions = {}): Promise<Survey> {
  const surveyor = new Surveyor(dir, options)
  for (const path of ['README.txt', 'verify.sh', 'origin']) await surveyor.file(path)
  for (const path of ['keys', 'tile']) await surveyor.directory(path)
  for (const tree of options.trees ?? []) {
    await surveyor.file(`${tree}/origin`)
    for (const path of ['keys', 'tile']) await surveyor.directory(`${tree}/${path}`)
  }
  await surveyor.tails()
  return surveyor.found
}

class Surveyor {
  readonly found: Survey = {
    sealed: 0,
    immutable: 0,
    mutablePaths: [],
    writable: 0,
    writablePaths: [],
    foreignPaths: [],
    tails: 0,
    growing: 0,
    mutableTails: [],
  }
  readonly #dir: string
  readonly #options: SurveyOptions

  constructor(dir: string, options: SurveyOptions) {
    this.#dir = dir
    this.#options = options
  }

  async directory(path: string): Promise<void> {
    const stats = this.#stat(path)
    if (stats === undefined) return
    if (!stats.isDirectory()) return note(this.found.foreignPaths, path)
    for (const entry of (await readdir(`${this.#dir}/${path}`, { withFileTypes: true })).sort(byName)) {
      const inside = `${path}/${entry.name}`
      if (entry.isDirectory()) await this.directory(inside)
      else await this.file(inside)
    }
    await this.#options.flags?.appendOnly(`${this.#dir}/${path}`)
  }

  async file(path: string): Promise<void> {
    const stats = this.#stat(path)
    if (stats === undefined) return
    if (!stats.isFile()) return note(this.found.foreignPaths, path)
    const immutable = await this.#isSet(path, isImmutable, 'sealed')
    this.found.sealed += 1
    if (immutable) this.found.immutable += 1
    else note(this.found.mutablePaths, path)
    if ((stats.mode & 0o222) !== 0) {
      this.found.writable += 1
      note(this.found.writablePaths, path)
    }
    if (this.found.sealed % PAUSE_EVERY === 0) await (this.#options.pause ?? aTurn)()
  }

  async tails(): Promise<void> {
    if (this.#stat('tail') === undefined) return
    for (const name of (await readdir(`${this.#dir}/tail`)).sort()) {
      const path = `tail/${name}`
      // A newer tail file may have replaced this one meanwhile.
      if (this.#stat(path)?.isFile() !== true) continue
      const growing = await this.#isSet(path, onlyGrows, 'appendOnly')
      this.found.tails += 1
      if (growing) this.found.growing += 1
      else note(this.found.mutableTails, path)
    }
  }

  async #isSet(
    path: string,
    probe: (path: string) => boolean | Promise<boolean>,
    verb: 'sealed' | 'appendOnly',
  ): Promise<boolean> {
    const absolute = `${this.#dir}/${path}`
    const { flags } = this.#options
    if (await probe(absolute)) return true
    if (flags === undefined) return false
    // When many attributes cannot be set, files that are being sealed are not the reason.
    const isRare = this.found.mutablePaths.length < NAMED
    for (let tried = 1; ; tried++) {
      if (await succeeds(flags[verb](absolute))) return probe(absolute)
      const hasTwoNames = (this.#stat(path)?.nlink ?? 1) > 1
      if (!isRare || tried >= (hasTwoNames ? TRIES_WITH_TWO_NAMES : TRIES)) return false
      await new Promise((resolve) => setTimeout(resolve, BETWEEN_TRIES_MS))
    }
  }

  #stat(path: string): Stats | undefined {
    return lstatSync(`${this.#dir}/${path}`, { throwIfNoEntry: false })
  }
}

function succeeds(work: Promise<void>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  )
}

/** Lets other tasks run. */
function aTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve))
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : 1
}

function note(paths: string[], path: string): void {
  if (paths.length < NAMED) paths.push(path)
}
