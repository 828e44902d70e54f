import { FaultyDisk } from '@service-fs/storage/faulty'
import { Random } from '@service-fs/storage/random'
import { openCheckpoint } from '@service-fs/tlog/checkpoint'
import { nativeHasher } from '@service-fs/native/native'
import { verifyConsistency } from '@service-fs/tlog/proof'
import { describe, expect, it } from 'vitest'
import { SEED } from '../../../test/support/seed.ts'
import type { Ledger } from './ledger.ts'
import { DiskMark } from './testing-mark.ts'
import { openTestLedger, TEST_ORIGIN, testVerifier, textRecord } from './testing-native.ts'

/** `npm test` tries some of the steps and seeds; see test/sets.mjs. */
const QUICK = process.env['QUICK'] === '1'

/** The records that a client has sent, and the answers that it has received. */
class Client {
  readonly acknowledged = new Map<string, { index: number; text: string }>()
  readonly attempted = new Map<string, string>()
  readonly checkpoints: string[] = []
  readonly #random: Random
  #next = 0

  constructor(random: Random) {
    this.#random = random
  }

  /** Appends concurrently until every call has resolved or one fails. */
  async work(ledger: Ledger, rounds: number): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      const batches = Array.from({ length: 1 + this.#random.below(4) }, () => this.#batch())
      await Promise.all(batches.map((records) => this.#append(ledger, records)))
    }
  }

  #batch(): { id: string; text: string }[] {
    const count = this.#random.below(3) === 0 ? 1 + this.#random.below(140) : 1
    return Array.from({ length: count }, () => {
      const id = `r${this.#next++}`
      const text =
        this.#random.below(400) === 0 ? id.repeat(20_000) : `text of ${id} `.repeat(this.#random.below(20))
      this.attempted.set(id, text)
      return { id, text }
    })
  }

  async #append(ledger: Ledger, records: { id: string; text: string }[]): Promise<void> {
    const { entries, checkpoint } = await ledger.append(records.map(({ id, text }) => textRecord(id, text)))
    for (const [i, { index }] of entries.entries()) {
      const record = records[i]
      if (record !== undefined) this.acknowledged.set(record.id, { index, text: record.text })
    }
    this.checkpoints.push(checkpoint)
  }

  /**
   * Checks that every acknowledged record is in its place, that the ledger has no record that was not sent, and that it is
   * consistent with every checkpoint.
   */
  async check(ledger: Ledger): Promise<void> {
    // One `expect` for all of them: millions of calls would take longer than the ledger does.
    const wrong: string[] = []
    const seen = new Set<string>()
    for await (const { id, index, payload } of ledger.records(0)) {
      if (Buffer.from(payload).toString() !== this.attempted.get(id)) wrong.push(`${id} has another text`)
      if (seen.has(id)) wrong.push(`${id} is there twice`)
      seen.add(id)
      const known = this.acknowledged.get(id)
      if (known !== undefined && index !== known.index) wrong.push(`${id} was moved to ${index}`)
    }
    for (const id of this.acknowledged.keys()) if (!seen.has(id)) wrong.push(`acknowledged ${id} is missing`)
    expect(wrong).toEqual([])
    const verifiers = [testVerifier]
    const to = ledger.head
    for (const note of this.checkpoints.slice(-20)) {
      const { size, root } = openCheckpoint(note, verifiers, TEST_ORIGIN).checkpoint
      const { hashes } = await ledger.consistencyProof(size, to.size)
      verifyConsistency(
        { from: size, to: to.size, fromRoot: root, toRoot: to.root, proof: hashes },
        nativeHasher,
      )
    }
  }
}

type Mode = 'grow' | 'each' | 'either' | 'protected'

/** How the disk keeps the tail in each run. */
function modeOf(mode: Mode, seed: number, life: number): { tailMode: 'grow' | 'each'; protects?: boolean } {
  if (mode === 'protected') return { tailMode: 'grow', protects: true }
  if (mode !== 'either') return { tailMode: mode }
  return { tailMode: new Random(seed + life).below(2) === 0 ? 'grow' : 'each' }
}

/** Runs a history on a disk that loses power repeatedly, then checks it. Returns how many times the power was cut. */
async function history(seed: number, mode: Mode, cuts: readonly number[]): Promise<number> {
  const client = new Client(new Random(seed))
  let disk = new FaultyDisk({ seed, ...modeOf(mode, seed, 0), cutAt: cuts[0] ?? 1 })
  let cut = 0
  for (let life = 1; life <= cuts.length; life++) {
    try {
      const ledger = await openTestLedger({ storage: await disk.open(), mark: new DiskMark(disk.files) })
      await client.work(ledger, 8)
      await ledger.close()
    } catch (error) {
      if (!disk.isOff) throw error
    }
    if (disk.isOff) cut += 1
    const next = { cutAt: cuts[life] ?? Number.MAX_SAFE_INTEGER, ...modeOf(mode, seed, life) }
    disk = disk.isOff ? disk.crash(next) : disk.kill(next)
  }
  const ledger = await openTestLedger({ storage: await disk.open(), mark: new DiskMark(disk.files) })
  await client.check(ledger)
  await client.work(ledger, 2)
  await client.check(ledger)
  await ledger.close()
  return cut
}

describe.each(['grow', 'each', 'either', 'protected'] as const)(
  'a ledger in %s mode on a disk that loses power',
  (tailMode) => {
    it('keeps every acknowledged record wherever the power is cut', async () => {
      let cut = 0
      const step = QUICK ? 9 : 1
      for (let at = 1; at <= 120; at += step) {
        cut += await history(at, tailMode, [at]).catch((error: unknown) => {
          throw new Error(`seed ${at}, cut at step ${at}`, { cause: error })
        })
      }
      expect(cut).toBeGreaterThan(QUICK ? 5 : 80)
    })

    it('keeps every acknowledged record over several runs', async () => {
      const first = SEED
      const seeds = Number(process.env['SEEDS'] ?? (QUICK ? 2 : 20))
      for (let seed = first; seed < first + seeds; seed++) {
        const random = new Random(seed)
        const cuts = Array.from({ length: tailMode === 'either' ? 8 : 5 }, () => 1 + random.below(120))
        await history(seed, tailMode, cuts).catch((error: unknown) => {
          throw new Error(`SEED=${seed}, cuts at ${cuts.join()}`, { cause: error })
        })
      }
    })
  },
)

type Failure = { step: number; errno: 'EIO' | 'ENOSPC' }

/**
 * Runs several processes one after the other on one disk, which fails once in each run but the last. Each process is killed with the power
 * on, so that the next one reads the pages that the kernel kept. Then the power is cut. Returns how many times a call failed. With file
 * attributes, a file system that failed to sync a directory accepts no writes until it is mounted again.
 */
async function failing(seed: number, mode: Mode, failures: readonly Failure[]): Promise<number> {
  const client = new Client(new Random(seed))
  let failed = 0
  let disk = new FaultyDisk({ seed, ...modeOf(mode, seed, 0), ...fails(failures[0]) })
  for (let life = 1; life <= failures.length; life++) {
    const step = failures[life - 1]?.step ?? 0
    try {
      await live(disk, client, 3)
    } catch (error) {
      if (disk.steps.length >= step) failed += 1
      else if (mode !== 'protected') throw error
    }
    disk = disk.kill({ ...modeOf(mode, seed, life), ...fails(failures[life]) })
  }
  await live(disk, client, 2).catch((error: unknown) => {
    if (mode !== 'protected') throw error
  })
  const ledger = await openTestLedger({ storage: await disk.crash().open() })
  await client.check(ledger)
  await client.work(ledger, 2)
  await client.check(ledger)
  await ledger.close()
  return failed
}

function fails(failure: Failure | undefined): { fail?: Failure } {
  return failure === undefined ? {} : { fail: failure }
}

/** Runs one process. The checkpoint after opening counts as shown to a client, even if the process is killed right after. */
async function live(disk: FaultyDisk, client: Client, rounds: number): Promise<void> {
  const ledger = await openTestLedger({ storage: await disk.open() })
  if (ledger.size > 0) client.checkpoints.push(ledger.checkpoint())
  await client.work(ledger, rounds)
  await ledger.close()
}

describe.each(['grow', 'each', 'either', 'protected'] as const)(
  'a ledger in %s mode on a disk that fails',
  (tailMode) => {
    it('keeps every acknowledged record wherever a call fails', async () => {
      let failed = 0
      const stride = QUICK ? 9 : 2
      for (let step = 1; step <= 60; step += stride) {
        const errno = step % 5 === 0 ? 'ENOSPC' : 'EIO'
        failed += await failing(step, tailMode, [{ step, errno }]).catch((error: unknown) => {
          throw new Error(`seed ${step}, ${errno} at step ${step}`, { cause: error })
        })
      }
      expect(failed).toBeGreaterThan(QUICK ? 0 : 15)
    })

    it('keeps every acknowledged record over several runs', async () => {
      const first = SEED
      const seeds = Number(process.env['SEEDS'] ?? (QUICK ? 1 : 5))
      for (let seed = first; seed < first + seeds; seed++) {
        const random = new Random(seed)
        const failures = Array.from({ length: 4 }, (): Failure => ({
          step: 1 + random.below(100),
          errno: 'EIO',
        }))
        await failing(seed, tailMode, failures).catch((error: unknown) => {
          throw new Error(`SEED=${seed}, failures at ${failures.map(({ step }) => step).join()}`, {
            cause: error,
          })
        })
      }
    })
  },
)

it('a ledger keeps every acknowledged record when the sync of a new directory and later its removal fail', async () => {
  // The third process fails to sync the name of tile/0, and the fourth to remove it.
  const failures = [67, 17, 33, 27].map((step): Failure => ({ step, errno: 'EIO' }))
  await failing(560_596, 'grow', failures)
})
