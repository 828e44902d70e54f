// Tests a ledger on the storage server while its disk repeatedly loses power: acknowledged records stay, also in the tar archive.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { verifyDirectory } from '@service-fs/client/verify-directory'
import type { Ledger } from '@service-fs/ledger/ledger'
import { openTestLedger, testSigner, textRecord } from '@service-fs/ledger/testing'
import { openPsdbProcess, type PsdbProcess } from '@service-fs/engine-host/psdb/process'
import { missing } from '@service-fs/engine-host/psdb/testing'
import { Random } from '@service-fs/storage/random'
import { openPsdbStorage } from '@service-fs/storage-psdb/storage'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { QUICK } from '../support/quick.ts'
import { SEED } from '../support/seed.ts'

/** Exit status of psdb-host-faults when its power is cut. */
const CUT = 99

let work: string
beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'service-fs-power-'))
  const source = join(import.meta.dirname, '../../microkit/psdb')
  if (missing === '') execFileSync('make', ['-s', '-C', source, `OUT=${join(work, 'build')}`, 'host-faults'])
})
afterAll(() => rmSync(work, { recursive: true, force: true }))

/** The state of a client: the records that it sent and the answers that it received. */
class Client {
  readonly acknowledged = new Map<string, number>()
  readonly #random: Random
  #next = 0

  constructor(random: Random) {
    this.#random = random
  }

  /** Appends with several concurrent requests. */
  async work(ledger: Ledger, rounds: number): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      const batches = Array.from({ length: 1 + this.#random.below(3) }, () => this.#append(ledger))
      await Promise.all(batches)
    }
  }

  async #append(ledger: Ledger): Promise<void> {
    const count = this.#random.below(4) === 0 ? 1 + this.#random.below(200) : 1
    const ids = Array.from({ length: count }, () => `r${this.#next++}`)
    const { entries } = await ledger.append(ids.map((id) => textRecord(id, `text of ${id}`)))
    for (const [i, { index }] of entries.entries()) this.acknowledged.set(ids[i] ?? '', index)
  }

  /** Checks that every acknowledged record is in its place, and that clients sent all records in the ledger. */
  async check(ledger: Ledger): Promise<void> {
    const seen = new Map<string, number>()
    for await (const { id, index, payload } of ledger.records(0)) {
      expect(Number(id.slice(1))).toBeLessThan(this.#next)
      expect(seen.has(id)).toBe(false)
      expect(Buffer.from(payload).toString()).toBe(`text of ${id}`)
      seen.set(id, index)
    }
    for (const [id, index] of this.acknowledged) expect(seen.get(id), `acknowledged ${id}`).toBe(index)
  }
}

function open(disk: string, args: readonly string[]): Promise<PsdbProcess> {
  const binary = join(work, 'build/psdb-host-faults')
  return openPsdbProcess({ disk, size: 8 * 1024 * 1024, tenants: ['acme'], binary, args })
}

/** One life: checks the ledger, then appends until the power fails. Reports whether the power failed. */
async function life(client: Client, disk: string, args: readonly string[]): Promise<boolean> {
  const host = await open(disk, args).catch(() => undefined)
  if (host === undefined) return true
  try {
    const ledger = await openTestLedger({ storage: openPsdbStorage(host.client('acme'), 'main') })
    await client.check(ledger)
    await client.work(ledger, 12)
    await ledger.close()
    await host.close()
    return false
  } catch (error) {
    const { code } = await host.exited
    if (code !== CUT) throw error
    return true
  }
}

async function history(seed: number): Promise<number> {
  const random = new Random(seed)
  const client = new Client(random)
  const disk = join(work, `${seed}.img`)
  let cuts = 0
  for (let i = 0; i < 6; i++) {
    const args = ['--cut', `${1 + random.below(40)}`, '--seed', `${seed * 10 + i}`]
    if (await life(client, disk, args)) cuts += 1
  }
  expect(await life(client, disk, [])).toBe(false)
  const out = join(work, `${seed}`)
  mkdirSync(out)
  execFileSync('tar', ['-xf', disk, '-C', out])
  const report = await verifyDirectory(join(out, 'acme'), { vkeys: [testSigner().vkey] })
  expect(report.problems).toEqual([])
  expect(report.entries).toBeGreaterThanOrEqual(client.acknowledged.size)
  rmSync(disk)
  rmSync(out, { recursive: true })
  return cuts
}

describe.skipIf(missing !== '')(`a ledger on the storage server${missing}`, () => {
  it('keeps every acknowledged record, wherever the power is cut', async () => {
    const first = SEED
    const seeds = Number(process.env['SEEDS'] ?? (QUICK ? 1 : 6))
    let cuts = 0
    for (let seed = first; seed < first + seeds; seed++) {
      cuts += await history(seed).catch((error: unknown) => {
        throw new Error(`SEED=${seed}`, { cause: error })
      })
    }
    expect(cuts).toBeGreaterThan(seeds)
  })

  it('keeps reading but stops writing after a failed write or flush', async () => {
    for (const [fault, at] of [
      ['--fail-write', 20],
      ['--fail-flush', 12],
    ] as const) {
      const host = await open(join(work, `${fault}.img`), [fault, `${at}`])
      const storage = openPsdbStorage(host.client('acme'), 'main')
      let start = 0
      const fill = async (): Promise<void> => {
        for (; start < 100; start++) await storage.beginTail(start, start + 1, Buffer.from(`commit ${start}`))
      }
      await expect(fill()).rejects.toMatchObject({ code: 'io' })
      expect(start).toBeGreaterThan(2)
      await expect(storage.seal({ kind: 'origin' }, Buffer.from('x'))).rejects.toMatchObject({ code: 'io' })
      await expect(storage.publish(Buffer.from('x'))).rejects.toMatchObject({ code: 'io' })
      const found: string[] = []
      for await (const { bytes } of storage.tail()) found.push(Buffer.from(bytes).toString())
      expect(found).toEqual(Array.from({ length: start }, (_, i) => `commit ${i}`))
      await host.close()
    }
  })
})
