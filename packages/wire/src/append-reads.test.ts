import type { Appended } from '@service-fs/ledger/record'
import { expect, it } from 'vitest'
import { AppendReads, rangesOf } from './append-reads.ts'
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

function refusal(reads: AppendReads, asker: typeof spy | typeof reader): Problem | undefined {
  try {
    reads.admit(asker)
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
])('cursors %j are %s', (cursors, text) => {
  expect(rangesOf(cursors)).toBe(text)
})

it('many cursors apart are one text that an audit entry has room for, and none is left out', () => {
  const cursors = Array.from({ length: 4096 }, (_, i) => Number.MAX_SAFE_INTEGER - 3 * i)
  const text = rangesOf(cursors)
  expect(text.length).toBeLessThan(60_000)
  const ranges = text.split(',').map((range) => range.split('-').map(Number))
  for (const cursor of cursors) {
    expect(ranges.some(([from = 0, to = from]) => from <= cursor && cursor <= to)).toBe(true)
  }
})

it('a subject that may not read is told of so many conflicts a minute, and of one more a second', () => {
  let now = 1_800_000_000_000
  const reads = new AppendReads(limits, () => now)
  for (let i = 0; i < 60; i++) {
    expect(refusal(reads, spy)).toBeUndefined()
    expect(reads.conflict(spy)).toBe(true)
  }
  expect(refusal(reads, spy)).toMatchObject({ code: 'rate-limited', members: { retry_after: 1 } })
  expect(refusal(reads, { ...spy, subject: 'token:other' })).toBeUndefined()
  now -= 3_600_000
  expect(refusal(reads, spy)).toBeDefined()
  now += 1000
  expect(refusal(reads, spy)).toBeUndefined()
  reads.conflict(spy)
  expect(refusal(reads, spy)).toBeDefined()
  now += 3_600_000
  for (let i = 0; i < 60; i++) {
    expect(refusal(reads, spy)).toBeUndefined()
    reads.conflict(spy)
  }
  expect(refusal(reads, spy)).toBeDefined()
})

it('answers that were on their way together are all counted', () => {
  let now = 0
  const reads = new AppendReads(limits, () => now)
  for (let i = 0; i < 100; i++) reads.conflict(spy)
  expect(refusal(reads, spy)).toMatchObject({ members: { retry_after: 41 } })
  now += 40_000
  expect(refusal(reads, spy)).toBeDefined()
  now += 1000
  expect(refusal(reads, spy)).toBeUndefined()
})

it('a subject that may read is not limited', () => {
  const reads = new AppendReads(limits, () => 0)
  for (let i = 0; i < 1000; i++) expect(reads.conflict(reader)).toBe(false)
  expect(refusal(reads, reader)).toBeUndefined()
})

it('duplicates are counted by the record, apart from conflicts', () => {
  let now = 0
  const reads = new AppendReads(limits, () => now)
  const batch = Array.from({ length: 300 }, (_, i) => entry(i, true))
  for (let i = 0; i < 3; i++) expect(reads.taken(spy, batch)).toHaveLength(300)
  expect(refusal(reads, spy)).toMatchObject({ members: { retry_after: 31 } })
  now += 31_000
  expect(refusal(reads, spy)).toBeUndefined()
})

it('a record that the subject appended itself tells it nothing, unless it has no name', () => {
  const reads = new AppendReads(limits, () => 0)
  const again = [entry(0, true), entry(1, true)]
  expect(reads.taken(spy, [entry(0, false), entry(1, false), entry(0, true)])).toEqual([])
  expect(reads.taken(spy, again)).toEqual([])
  expect(reads.taken(reader, again)).toEqual([0, 1])
  const anonymous = {}
  expect(reads.taken(anonymous, [entry(5, false)])).toEqual([])
  expect(reads.taken(anonymous, [entry(5, true)])).toEqual([0])
  // So many are remembered, the newest.
  for (let i = 0; i < 20_000; i++) reads.taken(spy, [entry(100 + i, false)])
  expect(reads.taken(spy, [entry(20_099, true), entry(0, true)])).toEqual([1])
})
