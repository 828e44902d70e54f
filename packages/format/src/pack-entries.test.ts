import { createHash } from 'node:crypto'
import { pureCodec } from '@service-fs/tlog/codec'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { entriesOf, MAX_ENTRY_BYTES, PART_BYTES } from './entry.ts'
import { packEntries, type UntimedRecord } from './pack-entries.ts'

const TIME = '2026-11-22T18:43:00.123Z'
const sha256Hex = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex')
const record = (id: string, payload: Uint8Array, type = 'text/plain'): UntimedRecord => ({
  id,
  type,
  payload,
})

/** Packs the records together, and compares the entries with the entries of each record packed alone. */
function expectPacked(records: readonly UntimedRecord[]): void {
  const { bytes, offsets, starts } = packEntries(records, TIME, sha256Hex, pureCodec)
  const single = records.map((one) => entriesOf({ ...one, time: TIME }, sha256Hex))
  const found = Array.from({ length: offsets.length - 1 }, (_, i) =>
    Buffer.from(bytes.subarray(offsets[i], offsets[i + 1])).toString('hex'),
  )
  expect(found).toEqual(single.flat().map((entry) => Buffer.from(entry).toString('hex')))
  expect([offsets[0], offsets.at(-1)]).toEqual([0, bytes.length])
  let start = 0
  expect(starts).toEqual(single.map((entries) => (start += entries.length) - entries.length))
}

it('packEntries makes the entries of each record', () => {
  const id = fc.oneof(fc.string({ minLength: 1, maxLength: 40 }), fc.constantFrom('ä', '😀', 'i'.repeat(256)))
  const anyRecord = fc.record({
    id: id.filter((text) => /^[^\p{Cc}]+$/u.test(text)),
    type: fc.constantFrom('application/json', 'text/plain;charset=utf-8', 'x/ü'),
    payload: fc.uint8Array({ maxLength: 300 }),
    fields: fc.constantFrom(
      undefined,
      [],
      [['a', 'b'] as const],
      [['a', 'ü'] as const, ['b-1', ''] as const],
    ),
  })
  fc.assert(
    fc.property(fc.array(anyRecord, { maxLength: 20 }), (records) => {
      expectPacked(records.map(({ fields, ...one }) => (fields === undefined ? one : { ...one, fields })))
    }),
  )
})

it('packEntries splits the records that do not fit one entry', () => {
  const header = entriesOf({ ...record('id', new Uint8Array()), time: TIME }, sha256Hex)[0]?.length ?? 0
  const sizes = [0, MAX_ENTRY_BYTES - header, MAX_ENTRY_BYTES - header + 1, 3 * PART_BYTES, 5]
  const records = sizes.map((size) => record('id', new Uint8Array(size).fill(size)))
  expectPacked(records)
  expectPacked(records.toReversed())
  for (const one of records) expectPacked([one])
})

it('packEntries reserves little more memory than the entries of large records need', () => {
  const records = Array.from({ length: 4 }, (_, i) => record(`l${i}`, new Uint8Array(2 ** 20).fill(i)))
  const { bytes } = packEntries(records, TIME, sha256Hex, pureCodec)
  expect(bytes.buffer.byteLength / bytes.length).toBeLessThan(1.01)
})

it.each<[string, UntimedRecord]>([
  ['an empty identifier', record('', Buffer.of())],
  ['a long identifier', record('i'.repeat(257), Buffer.of())],
  ['a control character in the identifier', record('a\nb', Buffer.of())],
  ['a delete character in the identifier', record('a\x7f', Buffer.of())],
  ['a lone surrogate in the identifier', record('\ud800', Buffer.of())],
  ['an empty type', record('a', Buffer.of(), '')],
  ['a control character in the type', record('a', Buffer.of(), 'text/\n')],
  ['a reserved field', { ...record('a', Buffer.of()), fields: [['id', 'b']] }],
])('packEntries rejects %s at every place', (_name, bad) => {
  const good = record('good', Buffer.from('payload'), bad.type === 'text/plain' ? undefined : 'text/plain')
  for (const records of [[bad], [bad, good], [good, bad], [good, good, bad, good]])
    expect(() => packEntries(records, TIME, sha256Hex, pureCodec)).toThrow(
      expect.objectContaining({ code: 'bad-entry' }),
    )
})

it('packEntries rejects a time that entriesOf() rejects', () => {
  const good = record('a', Buffer.of())
  expect(() => packEntries([good, good], 'now', sha256Hex, pureCodec)).toThrow('time: expected RFC 3339')
})
