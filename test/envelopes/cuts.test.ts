// Tests a ledger over the real storage server on a disk that loses power at every write of a short history: it keeps every
// acknowledged record.

import { spawnSync } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { verifyPlace } from '@service-fs/client/verify-place'
import { nativeHasher } from '@service-fs/native/native'
import { openPsdbProcess, type PsdbProcess } from '@service-fs/engine-host/psdb/process'
import { openPsdbStorage } from '@service-fs/storage-psdb/storage'
import { openCheckpoint } from '@service-fs/tlog/checkpoint'
import { verifyConsistency } from '@service-fs/tlog/proof'
import type { WireAnswer } from '@service-fs/wire/conformance-tools'
import { openInProcess, type InProcess } from '@service-fs/wire/in-process'
import { repoRoot } from '../support/root.ts'
import { sleep } from '../support/process.ts'
import { MODULE_ID } from './core.ts'
import { fastDirectory, keys, ORIGIN, testRuntime } from './cores.ts'
import { noPsdb } from './psdb.ts'
import { QUICK } from '../support/quick.ts'
import { SEED } from '../support/seed.ts'

/** The number of histories cut at every write. */
const HISTORIES = Number(process.env['CUTS'] ?? (QUICK ? 1 : 3))
/** The number of writes from one cut to the next. */
const STRIDE = QUICK ? 6 : 1
/** The number of lives of the disk that loses power repeatedly. */
const LIVES = QUICK ? 5 : 24
/** Exit status of psdb-host-faults when the power went. */
const POWER_CUT = 99

let dir = ''
const binary = (): string => join(dir, 'psdb-host-faults')

interface Acknowledged {
  readonly index: number
  readonly payload: string
}

/** The state of the clients: the records that they sent and the answers that they received. */
class Client {
  readonly attempted = new Map<string, string>()
  readonly acknowledged = new Map<string, Acknowledged>()
  checkpoint: string | undefined
  /** The acknowledged entries of the audit sub-ledger. */
  reads = 0
  #life: number

  constructor(life: number) {
    this.#life = life
  }

  /** Appends single records, batches that fill bundles and a split record, and reads, until a call fails. */
  async work(server: InProcess): Promise<void> {
    for (let i = 0; i < 6; i++) {
      await this.#append(server, [[`${this.#life} single ${i}`, `${i}`]])
      if (i % 2 === 0) await this.#append(server, this.#batch(i, 110))
      if (i === 3) await this.#append(server, [[`${this.#life} large`, `"${'x'.repeat(200_000)}"`]])
      await this.#read(server, `/v1/entries?since=${i}&limit=3`)
    }
  }

  #batch(number: number, count: number): [string, string][] {
    return Array.from({ length: count }, (_, i) => [`${this.#life} batch ${number} ${i}`, `${i}`])
  }

  async #append(
    server: InProcess,
    records: readonly (readonly [id: string, payload: string])[],
  ): Promise<void> {
    for (const [id, payload] of records) this.attempted.set(id, payload)
    const lines = records.map(([id, payload]) => `{"payload_id":"${id}","payload":${payload}}`)
    const headers = { 'x-foundry-module-id': MODULE_ID, 'content-type': 'application/x-ndjson' }
    const body = Buffer.from(lines.join('\n'))
    const answer = expectOk(await server.request('POST', '/v1/append', headers, body))
    const { entries, checkpoint } = JSON.parse(Buffer.from(answer.body).toString()) as {
      entries: { payload_id: string; index: number }[]
      checkpoint: string
    }
    for (const [i, { payload_id: id, index }] of entries.entries())
      this.acknowledged.set(id, { index, payload: records[i]?.[1] ?? '' })
    this.checkpoint = checkpoint
  }

  async #read(server: InProcess, target: string): Promise<void> {
    const headers = { 'x-foundry-module-id': MODULE_ID }
    const answer = expectOk(await server.request('GET', target, headers, new Uint8Array()))
    this.reads = Number(answer.headers['x-audit-index']) + 1
  }

  /** Checks that every acknowledged record is in its place, and that the tree extends every checkpoint. */
  async check({ main, audit }: InProcess): Promise<void> {
    for (const [id, { index, payload }] of this.acknowledged) {
      const record = await main.recordById(id)
      expect([id, record.index]).toEqual([id, index])
      expect(Buffer.from(record.payload).toString() === payload, id).toBe(true)
    }
    expect(audit.size).toBeGreaterThanOrEqual(this.reads)
    if (this.checkpoint === undefined) return
    const { size: from, root: fromRoot } = openCheckpoint(
      this.checkpoint,
      [keys.main.verifier],
      ORIGIN,
    ).checkpoint
    const { size: to, root: toRoot } = main.head
    const proof = (await main.consistencyProof(from, to)).hashes
    verifyConsistency({ from, to, fromRoot, toRoot, proof }, nativeHasher)
  }
}

function expectOk(answer: WireAnswer): WireAnswer {
  if (answer.status === 200) return answer
  throw new Error(`${answer.status}: ${Buffer.from(answer.body).toString()}`)
}

let requests = 0
const requestId = (): string => `r${++requests}`

async function open(process: PsdbProcess): Promise<InProcess> {
  const client = process.client(MODULE_ID)
  const storages = { main: openPsdbStorage(client, 'main'), audit: openPsdbStorage(client, 'audit') }
  return openInProcess({ moduleId: MODULE_ID, keys, storages, runtime: testRuntime(), requestId })
}

/** One life of a disk that loses power at the write `cut`. Returns whether the power failed. */
async function live(disk: string, cut: number, seed: number, client: Client): Promise<boolean> {
  const args = ['--cut', `${cut}`, '--seed', `${seed}`]
  const process = await openPsdbProcess({
    disk,
    size: 64 * 2 ** 20,
    tenants: [MODULE_ID],
    binary: binary(),
    args,
  })
  try {
    const server = await open(process)
    await client.work(server)
    await server.close()
    await process.close()
  } catch (error) {
    const exit = await Promise.race([process.exited, sleep(2000)])
    process.kill()
    if (exit?.code !== POWER_CUT) throw error
    return true
  }
  return false
}

/** Opens the disk as the cut left it, and checks it against the state of the clients. */
async function check(disk: string, clients: readonly Client[]): Promise<void> {
  const process = await openPsdbProcess({ disk, tenants: [MODULE_ID] })
  try {
    await checkServer(await open(process), clients)
    await process.close()
  } finally {
    process.kill()
  }
  const report = await verifyPlace(disk, { moduleId: MODULE_ID })
  expect(report).toMatchObject({ ok: true, problems: [], audit: { ok: true, problems: [] } })
}

async function checkServer(server: InProcess, clients: readonly Client[]): Promise<void> {
  for (const client of clients) await client.check(server)
  for await (const { id, payload } of server.main.records(0)) {
    const attempted = clients.find((client) => client.attempted.has(id))?.attempted.get(id)
    expect(Buffer.from(payload).toString() === attempted, `${id} was handed in`).toBe(true)
  }
  await server.close()
}

/** Cuts the power at the first write of a new ledger's history, at the second of another one's, and so on to the end. */
async function cutEverywhere(seed: number): Promise<number> {
  for (let cut = 1; ; cut += STRIDE) {
    const disk = join(dir, 'disk.img')
    const client = new Client(0)
    let wasCut = false
    await told(`SEED=${seed}, cut at write ${cut}`, async () => {
      wasCut = await live(disk, cut, seed + cut, client)
      await check(disk, [client])
    })
    await rm(disk)
    if (!wasCut) return cut - 1
  }
}

describe.skipIf(noPsdb !== undefined)(`power cuts, SEED=${SEED}`, () => {
  beforeAll(async () => {
    dir = await fastDirectory()
    const made = spawnSync(
      'make',
      ['-s', '-C', join(repoRoot, 'microkit/psdb'), `OUT=${dir}`, 'host-faults'],
      {
        encoding: 'utf8',
      },
    )
    if (made.status !== 0) throw new Error(made.stderr)
  })
  afterAll(() => rm(dir, { recursive: true, force: true }))

  it('at every write of a new ledger', async () => {
    for (let seed = SEED; seed < SEED + HISTORIES; seed++) {
      const cuts = await cutEverywhere(seed)
      expect(cuts).toBeGreaterThan(40)
    }
  }, 1_200_000)

  it('over several lives of one disk', async () => {
    const disk = join(dir, 'lives.img')
    const clients: Client[] = []
    for (let life = 1; life <= LIVES; life++) {
      const client = new Client(life)
      clients.push(client)
      const cut = 1 + ((SEED * 31 + life * 17) % 60)
      await told(`SEED=${SEED}, life ${life}, cut at write ${cut}`, async () => {
        await live(disk, cut, SEED + life, client)
        await check(disk, clients)
      })
    }
  }, 1_200_000)
})

async function told(where: string, act: () => Promise<void>): Promise<void> {
  await act().catch((error: unknown) => {
    throw new Error(`${where}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  })
}
