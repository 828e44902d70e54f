import type { Appended } from '@service-fs/ledger/record'
import { expect, it } from 'vitest'
import { AppendReads } from './append-reads.ts'
import { rangesOf } from './append-records.ts'
import type { Problem } from './problem.ts'

const entry = (index: number, duplicate: boolean): Appended => ({
  index,
  parts: 1,
  leafHash: '',
  time: '',
  duplicate,
})
const spy = { subject: 'token:spy', roles: ['append'] as const }
const reader = { subject: 'token:reader', roles: ['append', 'read'] as const }
const limits = { conflictsPerMinute: 60, duplicatesPerMinute: 600 }

async function enterProblem(
  reads: AppendReads,
  asker: typeof spy | typeof reader,
): Promise<Problem | undefined> {
  try {
    const leave = await reads.enter(asker, 1)
    leave()
    return undefined
  } catch (error) {
    return error as Problem
  }
}

it.each([
  [[], ''],
  [[7], '7'],
  [[1, 2, 3, 7, 9, 10], '1-3,7,9-10'],
  [[10, 2, 2, 1], '1-2,10'],
])('formats cursors %j as %s', (cursors, text) => {
  expect(rangesOf(cursors)).toBe(text)
})

it('formats thousands of separate cursors in one audit entry, and omits none', () => {
  const cursors = Array.from({ length: 4096 }, (_, i) => Number.MAX_SAFE_INTEGER - 3 * i)
  const text = rangesOf(cursors)
  expect(text.length).toBeLessThan(60_000)
  const ranges = text.split(',').map((range) => range.split('-').map(Number))
  for (const cursor of cursors) {
    expect(ranges.some(([from = 0, to = from]) => from <= cursor && cursor <= to)).toBe(true)
  }
})

it('limits the conflicts of a subject without a read role, and refills one each second', async () => {
  let now = 1_800_000_000_000
  const reads = new AppendReads(limits, () => now)
  for (let i = 0; i < 60; i++) {
    expect(await enterProblem(reads, spy)).toBeUndefined()
    expect(reads.conflict(spy)).toBe(true)
  }
  expect(await enterProblem(reads, spy)).toMatchObject({ code: 'rate-limited', members: { retry_after: 1 } })
  expect(await enterProblem(reads, { ...spy, subject: 'token:other' })).toBeUndefined()
  now -= 3_600_000
  expect(await enterProblem(reads, spy)).toBeDefined()
  now += 1000
  expect(await enterProblem(reads, spy)).toBeUndefined()
  reads.conflict(spy)
  expect(await enterProblem(reads, spy)).toBeDefined()
  now += 3_600_000
  for (let i = 0; i < 60; i++) {
    expect(await enterProblem(reads, spy)).toBeUndefined()
    reads.conflict(spy)
  }
  expect(await enterProblem(reads, spy)).toBeDefined()
})

it('counts conflicts of concurrent appends', async () => {
  let now = 0
  const reads = new AppendReads(limits, () => now)
  for (let i = 0; i < 100; i++) reads.conflict(spy)
  expect(await enterProblem(reads, spy)).toMatchObject({ members: { retry_after: 41 } })
  now += 40_000
  expect(await enterProblem(reads, spy)).toBeDefined()
  now += 1000
  expect(await enterProblem(reads, spy)).toBeUndefined()
})

it('does not limit a subject that may read', async () => {
  const reads = new AppendReads(limits, () => 0)
  for (let i = 0; i < 1000; i++) expect(reads.conflict(reader)).toBe(false)
  expect(await enterProblem(reads, reader)).toBeUndefined()
})

it('counts duplicates by record, apart from conflicts', async () => {
  let now = 0
  const reads = new AppendReads(limits, () => now)
  const batch = Array.from({ length: 300 }, (_, i) => entry(i, true))
  for (let i = 0; i < 3; i++) expect(reads.taken(spy, batch)).toHaveLength(300)
  expect(await enterProblem(reads, spy)).toMatchObject({ members: { retry_after: 31 } })
  now += 31_000
  expect(await enterProblem(reads, spy)).toBeUndefined()
})

it('does not count duplicates of a subject’s own records, except for anonymous', () => {
  const reads = new AppendReads(limits, () => 0)
  const again = [entry(0, true), entry(1, true)]
  expect(reads.taken(spy, [entry(0, false), entry(1, false), entry(0, true)])).toEqual([])
  expect(reads.taken(spy, again)).toEqual([])
  expect(reads.taken(reader, again)).toEqual([0, 1])
  const anonymous = {}
  expect(reads.taken(anonymous, [entry(5, false)])).toEqual([])
  expect(reads.taken(anonymous, [entry(5, true)])).toEqual([0])
  // Only the newest records are remembered.
  for (let i = 0; i < 20_000; i++) reads.taken(spy, [entry(100 + i, false)])
  expect(reads.taken(spy, [entry(20_099, true), entry(0, true)])).toEqual([1])
})

it('admits concurrent appends up to the budget; the others wait, then fail', async () => {
  const reads = new AppendReads(limits, () => 0)
  const settled: string[] = []
  const leaves: (() => void)[] = []
  const send = (asker: typeof spy, records: number): Promise<unknown> =>
    Promise.resolve(reads.enter(asker, records)).then(
      (leave) => void leaves.push(leave),
      ({ code }: Problem) => void settled.push(code),
    )
  const all = Array.from({ length: 100 }, () => send(spy, 1))
  await Promise.all(all.slice(0, 60))
  expect([leaves.length, settled]).toEqual([60, []])
  // A new record admits the next append. When the budget is spent, each one fails.
  for (const leave of leaves.splice(0, 10)) leave()
  await Promise.all(all.slice(60, 70))
  expect(leaves).toHaveLength(60)
  for (const leave of leaves.splice(0)) {
    reads.conflict(spy)
    leave()
  }
  await Promise.all(all)
  expect([leaves.length, settled]).toEqual([0, Array.from({ length: 30 }, () => 'rate-limited')])
})

it('admits concurrent batches one after the other', async () => {
  const reads = new AppendReads(limits, () => 0)
  const batch = Array.from({ length: 500 }, (_, i) => entry(i, true))
  const first = await reads.enter(spy, 500)
  let isSecond = false
  const second = Promise.resolve(reads.enter(spy, 500)).then((leave) => {
    isSecond = true
    return leave
  })
  await Promise.resolve()
  expect(isSecond).toBe(false)
  reads.taken(spy, batch)
  first()
  const leave = await second
  reads.taken(spy, batch)
  leave()
  expect(await enterProblem(reads, spy)).toMatchObject({ code: 'rate-limited' })
})
