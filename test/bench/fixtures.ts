// Ledgers and logs of given sizes. The ledgers of the working tree and the logs of Tessera stay in a cache between runs; a run works on
// copies.

import {
  constants,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, sep } from 'node:path'
import { run } from '../support/process.ts'
import { type Build, workingTree } from './builds.ts'
import { bundleProgram } from './bundle.ts'
import { measure } from './load.ts'
import { MODULE, type Place, type Server, startServiceFs, startTessera } from './servers.ts'
import { bulk } from './settings.ts'

/** The cache that all runs share. */
export const fixtureCache: string = join(tmpdir(), 'service-fs-bench-fixtures')
/** A part of each name in the cache: change it when fixtures of earlier versions must not be measured any more. */
const VERSION = 'v1'
/** The most seconds for making a fixture. */
const LIMIT = 3600
/** Bytes of a fixture for each record, a little more than measured. */
const BYTES_PER_RECORD = 500

export class Fixtures {
  readonly #dir: string
  readonly #cache: string
  readonly #made = new Map<string, Promise<string>>()

  /** `dir` is for the fixtures of this run. */
  constructor(dir: string, cache = fixtureCache) {
    this.#dir = dir
    this.#cache = cache
  }

  /** Removes the fixtures of this run. The cache stays. */
  clear(): void {
    rmSync(this.#dir, { recursive: true, force: true })
  }

  /**
   * Returns the root of a ledger with that many records. Reads add entries to its audit sub-ledger. A change between recorded and public
   * reads adds a notice there, too.
   */
  ledger(build: Build, size: number, reads: 'recorded' | 'public' = 'recorded'): Promise<string> {
    const name = `${reads}-${size}`
    if (build !== workingTree)
      return this.#once(name, build.root, (root) => filledByServer(root, build, size))
    return this.#once(name, build.root, async (root) => {
      const made = await this.#cached(`ledger-${size}`, size, (cached) => fillLedger(cached, size))
      copyLedger(made, root)
    })
  }

  /** Returns the root of a log of Tessera. Runs only read it. */
  tessera(size: number): Promise<string> {
    return this.#cached(`tessera-${size}`, size, (root) => filled(root, startBulkTessera, size, bulk.tessera))
  }

  /** Makes a fixture of this run. */
  #once(name: string, of: string, make: (root: string) => Promise<void>): Promise<string> {
    const key = `${name}\n${of}`
    const root = join(this.#dir, `${name}-${this.#made.size}`)
    const made = this.#made.get(key) ?? making(root, make)
    this.#made.set(key, made)
    return made
  }

  /** Returns a fixture of the cache. A fixture gets its name when it is complete. */
  async #cached(name: string, size: number, make: (root: string) => Promise<void>): Promise<string> {
    const root = join(this.#cache, `${name}-${VERSION}`)
    if (existsSync(root)) return root
    const unfinished = `${root}.new`
    rmSync(unfinished, { recursive: true, force: true })
    mkdirSync(this.#cache, { recursive: true })
    expectSpace(this.#cache, size * BYTES_PER_RECORD)
    await making(unfinished, make)
    renameSync(unfinished, root)
    return root
  }
}

async function making(root: string, make: (root: string) => Promise<void>): Promise<string> {
  mkdirSync(root, { recursive: true })
  await make(root)
  return root
}

function expectSpace(dir: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(dir)
  if (bavail * bsize < 2 * bytes)
    throw new Error(`${dir}: expected ${gibibytes(2 * bytes)} free, found ${gibibytes(bavail * bsize)}`)
}

function gibibytes(n: number): string {
  return `${(n / 2 ** 30).toFixed(1)} GiB`
}

/** Makes a tenant with the daemon, and fills its ledger without the daemon. */
async function fillLedger(root: string, size: number): Promise<void> {
  const server = await startServiceFs(workingTree, { root })
  await server.stop()
  const script = await bundleProgram({ file: 'fill-ledger.ts' }, 'fill-ledger.cjs', workingTree)
  const key = join(root, '.secret', MODULE, 'ed25519.key')
  const args = [script, join(root, MODULE), key, String(size)]
  const done = await run(process.execPath, args, { timeoutMs: LIMIT * 1000 })
  if (done.code !== 0) throw new Error(`fill-ledger: exit ${done.code}: ${done.stderr}`)
}

function startBulkTessera(place: Place): Promise<Server> {
  return startTessera('integrated', bulk.tessera.settings, place)
}

/** Makes a ledger with a revision that may have other packages. */
function filledByServer(root: string, build: Build, size: number): Promise<void> {
  return filled(root, (place) => startServiceFs(build, place), size, bulk.serviceFs)
}

async function filled(
  root: string,
  start: (place: Place) => Promise<Server>,
  total: number,
  how: { clients: number; batch: number },
): Promise<void> {
  const server = await start({ root })
  try {
    await measure(server, { mode: 'batch', ...how, seconds: LIMIT, total })
    await server.stop()
  } finally {
    await server.dispose()
  }
}

/** Files that no process writes again once they have their names: tiles, bundles, and runs of the record index. */
const UNCHANGED = /(?:^|\/)tile\/.*\.b64$|\.run$/

/** Copies a directory of ledgers. Files that stay unchanged become hard links where the file system allows it. */
export function copyLedger(from: string, to: string): void {
  mkdirSync(to, { recursive: true, mode: statSync(from).mode })
  const copy = (dir: string): void => {
    for (const entry of readdirSync(join(from, dir), { withFileTypes: true })) {
      const path = join(dir, entry.name)
      if (entry.isDirectory()) {
        mkdirSync(join(to, path), { mode: statSync(join(from, path)).mode })
        copy(path)
      } else copyFile(join(from, path), join(to, path), UNCHANGED.test(path.split(sep).join('/')))
    }
  }
  copy('')
}

function copyFile(from: string, to: string, mayLink: boolean): void {
  if (mayLink && linked(from, to)) return
  copyFileSync(from, to, constants.COPYFILE_EXCL)
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch {
    return false
  }
}

/** Runs a task on a copy of the ledgers, and removes the copy. */
export async function withCopy<T>(
  root: string,
  work: string,
  task: (copy: string) => Promise<T>,
): Promise<T> {
  const copy = join(work, 'copy')
  rmSync(copy, { recursive: true, force: true })
  copyLedger(root, copy)
  try {
    return await task(copy)
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}
