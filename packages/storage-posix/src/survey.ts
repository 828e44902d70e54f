/** What of a ledger directory is sealed, and how it is kept from being changed. */
import { lstatSync, type Stats } from 'node:fs'
import { readdir } from 'node:fs/promises'
import type { FileFlags } from './flags.ts'
import { isImmutable, onlyGrows } from './probe.ts'

/** Counts of files; `…Paths` are some of them, relative to the ledger directory. */
export interface Survey {
  /** Sealed files: README.txt, origin, all below keys/ and tile/. */
  sealed: number
  immutable: number
  /** Sealed files that are not immutable. */
  mutablePaths: string[]
  /** Sealed files that their mode lets somebody write to. */
  writable: number
  writablePaths: string[]
  /** What is neither a regular file nor a directory, among the sealed files. */
  foreignPaths: string[]
  tails: number
  /** Tail files that only grow. */
  growing: number
  /** Tail files that do more than that. */
  mutableTails: string[]
}

export interface SurveyOptions {
  /** Sets what is missing; default: nothing is set. */
  readonly flags?: FileFlags
  /** Waited for after every 50 files. */
  readonly pause?: () => Promise<void>
}

const NAMED = 5
const PAUSE_EVERY = 50
/** A file that is being sealed has two names for a moment. */
const TRIES = 5
const BETWEEN_TRIES_MS = 100

/**
 * Looks at every sealed file and every tail file of the ledger in `dir`, and with `flags` first sets what is missing. Its audit
 * sub-ledger is another ledger. What cannot be set is counted as not set.
 */
export async function survey(dir: string, options: SurveyOptions = {}): Promise<Survey> {
  const surveyor = new Surveyor(dir, options)
  for (const path of ['README.txt', 'origin']) await surveyor.file(path)
  for (const path of ['keys', 'tile']) await surveyor.directory(path)
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
      // One that a new one has replaced may go in the meantime.
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
    // Where many can't be set, there is another reason than that.
    const tries = this.found.mutablePaths.length < NAMED ? TRIES : 1
    for (let left = flags === undefined ? 0 : tries; left > 0; left--) {
      const failed = await flags?.[verb](absolute).then(
        () => false,
        () => true,
      )
      if (failed === false) return probe(absolute)
      if (left > 1) await new Promise((resolve) => setTimeout(resolve, BETWEEN_TRIES_MS))
    }
    return false
  }

  #stat(path: string): Stats | undefined {
    return lstatSync(`${this.#dir}/${path}`, { throwIfNoEntry: false })
  }
}

/** Lets what else there is to do be done. */
function aTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve))
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : 1
}

function note(paths: string[], path: string): void {
  if (paths.length < NAMED) paths.push(path)
}
