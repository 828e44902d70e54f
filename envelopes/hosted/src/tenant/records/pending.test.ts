import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { KEY_BYTES, RECORD_BYTES } from './page.ts'
import { keyOf, keysOf, KEY_STRIDE, Pending } from './pending.ts'

const ROOT = 'root'
const keyOfNode = (id: string): string =>
  createHash('sha256').update(id).digest().subarray(0, KEY_BYTES).toString('hex')

/** Pairs whose keys have the first 38 bits in common, found by hashing a million identifiers. */
const CLOSE = [
  ['id-97752', 'id-138622'],
  ['id-588597', 'id-682370'],
  ['id-234407', 'id-694505'],
] as const

function filled(ids: readonly string[], batch: number): Pending {
  const pending = new Pending(0, undefined)
  for (let at = 0; at < ids.length; at += batch) {
    const records = ids.slice(at, at + batch).map((id, i) => ({ id, index: at + i }))
    pending.put(records, at + records.length, ROOT)
  }
  return pending
}

it.each([1, 7, 1000])(
  'the collection of pending records finds the first record with an identifier, with %i records in each put',
  (batch) => {
    const ids = Array.from({ length: 5_000 }, (_, i) => `r${i % 4_000}`)
    const pending = filled(ids, batch)
    expect([pending.records, pending.to, pending.entries]).toEqual([5_000, 5_000, 5_000])
    for (let i = 0; i < 4_000; i++) expect(pending.get(keyOf(`r${i}`), 0)).toBe(i)
    expect(pending.get(keyOf('absent'), 0)).toBeUndefined()
    pending.put([{ id: 'late', index: 2 ** 47 }], 2 ** 47 + 1, ROOT)
    expect(pending.get(keyOf('late'), 0)).toBe(2 ** 47)
  },
)

it('the collection of pending records finds nothing before a put', () => {
  expect(new Pending(5, ROOT).get(keyOf('a'), 0)).toBeUndefined()
  expect(new Pending(5, ROOT).sorted()).toHaveLength(0)
})

it('the collection of pending records sorts records by key, and records with the same key by arrival', () => {
  const many = Array.from({ length: 16_000 }, (_, i) => `other ${i}`)
  const close = CLOSE.flat()
  const ids = [...close, ...many, ...close.toReversed(), ...close]
  const expected = ids
    .map((id, index) => ({ key: keyOfNode(id), index }))
    .toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.index - b.index))
  const sorted = filled(ids, 999).sorted()
  const found = Array.from({ length: sorted.length / RECORD_BYTES }, (_, i) => ({
    key: sorted.toString('hex', i * RECORD_BYTES, i * RECORD_BYTES + KEY_BYTES),
    index: sorted.readUIntBE(i * RECORD_BYTES + KEY_BYTES, 6),
  }))
  expect(found).toEqual(expected)
})

it('keysOf computes the same keys for identifiers together as one by one', () => {
  const ids = ['a', 'ä', '😀', '', 'i'.repeat(256), 'a\ud83d', '\ude00b']
  for (const some of [ids, ids.slice(0, 5), [], ['a']]) {
    const keys = keysOf(some)
    for (const [i, id] of some.entries())
      expect(keys.toString('hex', i * KEY_STRIDE, i * KEY_STRIDE + KEY_BYTES)).toBe(keyOf(id).toString('hex'))
  }
})
