// Ledgers and logs of given sizes, made once a run by each side's own server and used in every round.

import { cp, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Build } from './builds.ts'
import { measure } from './load.ts'
import { startPublic } from './public.ts'
import { type Place, type Server, startServiceFs, startTessera } from './servers.ts'
import { bulk } from './settings.ts'

/** Seconds that the making of a fixture may take. */
const LIMIT = 3600

export class Fixtures {
  readonly #dir: string
  readonly #made = new Map<string, Promise<string>>()

  /** `dir` holds the fixtures; it is emptied. */
  constructor(dir: string) {
    this.#dir = dir
  }

  async clear(): Promise<void> {
    await rm(this.#dir, { recursive: true, force: true })
  }

  /** Returns the root of a ledger with so many records. */
  ledger(build: Build, size: number): Promise<string> {
    const start = (place: Place): Promise<Server> => startServiceFs(build, place)
    return this.#make(`ledger-${size}`, build.root, start, size, bulk.serviceFs)
  }

  /** Returns the root of a public ledger, whose reads are not recorded. */
  publicLedger(build: Build, size: number): Promise<string> {
    const start = (place: Place): Promise<Server> => startPublic(build, place)
    return this.#make(`public-${size}`, build.root, start, size, bulk.serviceFs)
  }

  /** Returns the root of a log of Tessera. */
  tessera(size: number): Promise<string> {
    return this.#make(`tessera-${size}`, '', startBulkTessera, size, bulk.tessera)
  }

  #make(
    name: string,
    of: string,
    start: (place: Place) => Promise<Server>,
    total: number,
    how: { clients: number; batch: number },
  ): Promise<string> {
    const key = `${name}\n${of}`
    const made =
      this.#made.get(key) ?? this.#fill(join(this.#dir, `${name}-${this.#made.size}`), start, total, how)
    this.#made.set(key, made)
    return made
  }

  async #fill(
    root: string,
    start: (place: Place) => Promise<Server>,
    total: number,
    how: { clients: number; batch: number },
  ): Promise<string> {
    await mkdir(root, { recursive: true })
    const server = await start({ root })
    try {
      await measure(server, { mode: 'batch', ...how, seconds: LIMIT, total })
      await server.stop()
    } finally {
      await server.dispose()
    }
    return root
  }
}

function startBulkTessera(place: Place): Promise<Server> {
  return startTessera('integrated', bulk.tessera.settings, place)
}

/** Runs a task on a copy of the directory, and removes the copy. */
export async function withCopy<T>(
  root: string,
  work: string,
  task: (copy: string) => Promise<T>,
): Promise<T> {
  const copy = join(work, 'copy')
  await rm(copy, { recursive: true, force: true })
  await cp(root, copy, { recursive: true, preserveTimestamps: true })
  try {
    return await task(copy)
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
}
