// Kills QEMU repeatedly under load, with a disk that loses part of its write cache. After each boot the ledger has every
// acknowledged record, is consistent with every signed checkpoint, and has only records that clients sent.
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { nativeCrypto, nativeHasher } from '@service-fs/native/native'
import { Random } from '@service-fs/storage/random'
import { openCheckpoint, type Checkpoint } from '@service-fs/tlog/checkpoint'
import { verifierFromVkey } from '@service-fs/tlog/keys'
import { verifyConsistency } from '@service-fs/tlog/proof'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Disk } from '../../qemu/run.mjs'
import { serviceFsCommand } from '../support/daemon.ts'
import { CachedDisk } from './cache.ts'
import { Bench, needs, runs } from './machine.ts'
import { Connection, MODULE_ID, serve, shownVkeys, type Served } from './served.ts'
import { QUICK } from '../support/quick.ts'
import { SEED } from '../support/seed.ts'

const KILLS = Number(process.env['KILLS'] ?? (QUICK ? 1 : 20))
const MiB = 1024 * 1024
const DISK = 64 * MiB
/** Records per request of each client. */
const CLIENTS = [1, 1, 1, 4, 40]
/** Appends that are acknowledged before each kill, on average: a slow machine takes longer for them than any fixed time. */
const LEAST = 6
/** After those appends the load lasts `least` milliseconds, and a random time of up to `more` milliseconds. */
const LOAD = { least: 100, more: 900 }
const ORIGIN = 'service-fs.local/ledger/acme'

interface Receipt {
  cursor: number
  payload_id: string
}

/** The records sent, the records acknowledged, and the checkpoints signed, over all boots. */
class Load {
  readonly attempted = new Map<string, string>()
  /** Cursors by identifier. */
  readonly acknowledged = new Map<string, number>()
  readonly checkpoints: string[] = []
  readonly #random: Random
  #wake: () => void = () => undefined

  constructor(random: Random) {
    this.#random = random
  }

  /** Resolves when so many records are acknowledged. */
  async until(count: number): Promise<void> {
    while (this.acknowledged.size < count)
      await new Promise((resolve) => (this.#wake = () => resolve(undefined)))
  }

  /** Appends until the machine dies. */
  async run(served: Served): Promise<void> {
    await Promise.all(CLIENTS.map((count) => this.#client(served, count)))
  }

  async #client(served: Served, count: number): Promise<void> {
    const connection = new Connection(served)
    const end = served.appliance.exited.then(() => connection.close())
    try {
      for (;;) await this.#append(connection, count)
    } catch (error) {
      // Killing the machine breaks the connection; a request may fail for no other reason.
      if (!/ECONNRESET|EPIPE|ECONNREFUSED|socket hang up|aborted/.test(String(error))) throw error
    }
    await end
  }

  async #append(connection: Connection, count: number): Promise<void> {
    const records = Array.from({ length: count }, () => {
      const id = `record-${this.attempted.size}`
      const payload = { id, text: 'x'.repeat(this.#random.below(900)) }
      this.attempted.set(id, JSON.stringify(payload))
      return { payload_id: id, payload }
    })
    const answer = await connection.json<{ entries: Receipt[]; checkpoint: string }>('v1/append', records)
    for (const { cursor, payload_id } of answer.entries) this.acknowledged.set(payload_id, cursor)
    this.checkpoints.push(answer.checkpoint)
    this.#wake()
  }
}

/** Remembers the state before each kill, and checks that the rebooted ledger still matches it. */
class Memory {
  readonly load: Load
  readonly #vkeys: string[] = []
  /** The size of the last checked tree; all records below it are present. */
  #checked: Checkpoint | undefined
  /** The numbers of acknowledged records and checkpoints checked. */
  #looked = 0

  constructor(load: Load) {
    this.load = load
  }

  get vkeys(): readonly string[] {
    return this.#vkeys
  }

  /** Checks the records and checkpoints that are new since the last call, or all of them with `all`. */
  async check(served: Served, all = false): Promise<void> {
    if (this.#vkeys.length === 0) this.#vkeys.push(...shownVkeys(served.appliance))
    expect(shownVkeys(served.appliance)).toEqual(this.#vkeys)
    const connection = new Connection(served)
    const now = this.#open(await connection.ask('checkpoint'))
    await this.#consistent(connection, now, all)
    await this.#records(connection, all ? 0 : (this.#checked?.size ?? 0), now.size)
    this.#checked = now
    connection.close()
  }

  #open(note: string): Checkpoint {
    const verifiers = this.#vkeys.slice(0, 1).map((vkey) => verifierFromVkey(vkey, nativeCrypto))
    return openCheckpoint(note, verifiers, ORIGIN).checkpoint
  }

  /** Checks that the tree extends every published checkpoint. */
  async #consistent(connection: Connection, now: Checkpoint, all: boolean): Promise<void> {
    const given = this.load.checkpoints.slice(all ? 0 : this.#looked).map((note) => this.#open(note))
    this.#looked = this.load.checkpoints.length
    given.sort((a, b) => a.size - b.size)
    const some = given.filter((_, i) => i % Math.ceil(given.length / 20) === 0)
    for (const { size, root } of [this.#checked, ...some, given.at(-1)].filter((old) => old !== undefined)) {
      expect(now.size).toBeGreaterThanOrEqual(size)
      if (size === 0) continue
      const question = `v1/proof/consistency?from=${size}&to=${now.size}`
      const { hashes } = await connection.json<{ hashes: string[] }>(question)
      verifyConsistency(
        { from: size, to: now.size, fromRoot: root, toRoot: now.root, proof: hashes },
        nativeHasher,
      )
    }
  }

  /** Checks the records from the cursor on: each acknowledged record is in its place, and clients sent all records. */
  async #records(connection: Connection, since: number, size: number): Promise<void> {
    const found = new Map<string, number>()
    for (let next = since; next < size;) {
      const page = await connection.json<{
        next_cursor: number
        entries: (Receipt & { payload: unknown })[]
      }>(`v1/entries?since=${next}&limit=1000`)
      for (const { cursor, payload_id, payload } of page.entries) {
        expect(found.has(payload_id), payload_id).toBe(false)
        expect(JSON.stringify(payload), payload_id).toBe(this.load.attempted.get(payload_id))
        found.set(payload_id, cursor)
      }
      expect(page.next_cursor).toBeGreaterThan(next)
      next = page.next_cursor
    }
    for (const [id, cursor] of this.load.acknowledged)
      if (cursor > since) expect(found.get(id), `${id}, acknowledged`).toBe(cursor)
  }
}

interface Caches {
  disk: CachedDisk
  keys: CachedDisk
}

/** Waits for a random time; in half of the cases, also until a flush that never completes. */
async function moment(random: Random, { disk, keys }: Caches): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, LOAD.least + random.below(LOAD.more)))
  const which = random.below(4)
  if (which < 2) await [disk, keys][which]?.hold()
}

describe.skipIf(!runs)(`power is cut ${KILLS} times under load ${needs}`, () => {
  let bench: Bench
  beforeEach(() => {
    bench = new Bench()
  })
  afterEach(() => bench.end())

  it(`keeps every acknowledged record, SEED=${SEED}`, { timeout: 3_600_000 }, async () => {
    const random = new Random(SEED)
    const caches: Caches = { disk: new CachedDisk(DISK, random), keys: new CachedDisk(MiB, random) }
    const disk: Disk = { file: join(bench.folder, 'disk.sock'), served: true }
    const keys: Disk = { file: join(bench.folder, 'keys.sock'), served: true }
    await caches.disk.listen(disk.file)
    await caches.keys.listen(keys.file)
    const memory = new Memory(new Load(random))
    const { load } = memory
    const boots: number[] = []
    let replaced = 0
    try {
      for (let kill = 0; kill <= KILLS; kill++) {
        const served = await serve(bench, { disk, keys })
        boots.push(served.ready)
        await memory.check(served, kill === KILLS)
        if (kill > 0) expect(served.appliance.console).not.toMatch(/refused|stopped|faulted|a key is made/)
        if (kill === KILLS) {
          await served.appliance.kill()
          break
        }
        const running = load.run(served).catch((error: unknown) => {
          throw new Error(`life ${kill}; the console:\n${served.appliance.console}`, { cause: error })
        })
        running.catch(() => {})
        await Promise.race([load.until((kill + 1) * LEAST), running])
        await moment(random, caches)
        await served.appliance.kill()
        for (const cache of [caches.disk, caches.keys]) cache.cut()
        await running
        replaced += [...served.appliance.console.matchAll(/signed (last )?before (this|the) start/g)].length
      }
    } finally {
      for (const cache of [caches.disk, caches.keys]) cache.close()
    }
    expect(load.acknowledged.size).toBeGreaterThanOrEqual(KILLS * LEAST)
    const image = join(bench.folder, 'disk.img')
    const unpacked = join(bench.folder, 'unpacked')
    writeFileSync(image, caches.disk.bytes)
    mkdirSync(unpacked)
    execFileSync('tar', ['-xf', image, '-C', unpacked])
    const trusted = memory.vkeys.flatMap((vkey) => ['--vkey', vkey])
    const verified = await serviceFsCommand(['verify', join(unpacked, MODULE_ID), ...trusted])
    expect([verified.code, verified.stderr], verified.stdout).toEqual([0, ''])
    const slowest = Math.round(Math.max(...boots))
    console.log(
      `${load.acknowledged.size} of ${load.attempted.size} acknowledged; ${caches.disk.lost} sectors of the data disk and ${caches.keys.lost} of the key disk lost writes; ${replaced} signatures belonged to no commit; slowest boot ${slowest} ms`,
    )
  })
})
