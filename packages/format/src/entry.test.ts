import { createHash } from 'node:crypto'
import { pureCodec } from '@service-fs/tlog/codec'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  entriesOf,
  fieldsProblem,
  idProblem,
  joinParts,
  MAX_ENTRY_BYTES,
  PART_BYTES,
  parseEntry,
} from './entry.ts'

const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex')
const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8')
const TIME = '2026-11-22T18:43:00.123Z'
const content = (payload: Uint8Array, id = 'a', type = 'text/plain') => ({ id, type, time: TIME, payload })

describe('an entry', () => {
  it('has the text in the documentation of the format', () => {
    const [entry] = entriesOf(
      { id: 'invoice-2026-0001', type: 'application/json', time: TIME, payload: bytes('{"total":12}') },
      sha256,
    )
    expect(Buffer.from(entry ?? []).toString()).toBe(
      `service-fs/entry/v1\nid: invoice-2026-0001\ntype: application/json\ntime: ${TIME}\n\n{"total":12}`,
    )
  })

  it('sorts other fields by name', () => {
    const [entry] = entriesOf(
      {
        ...content(bytes('x')),
        fields: [
          ['author', 'é: ü'],
          ['retain-until', '2056'],
        ],
      },
      sha256,
    )
    expect(parseEntry(entry ?? new Uint8Array()).header.fields).toEqual([
      ['author', 'é: ü'],
      ['retain-until', '2056'],
    ])
  })

  it('is parsed unchanged, at every size around a split', () => {
    const header = entriesOf(content(new Uint8Array()), sha256)[0]?.length ?? 0
    const whole = MAX_ENTRY_BYTES - header
    for (const length of [
      0,
      1,
      whole - 1,
      whole,
      whole + 1,
      2 * PART_BYTES,
      2 * PART_BYTES + 1,
      5 * PART_BYTES - 1,
    ]) {
      const payload = Uint8Array.from({ length }, (_, i) => (i * 7) % 256)
      const parts = entriesOf(content(payload), sha256)
      expect(parts.length).toBe(length <= whole ? 1 : Math.ceil(length / PART_BYTES))
      for (const part of parts) expect(part.length).toBeLessThanOrEqual(MAX_ENTRY_BYTES)
      expect(
        Buffer.compare(
          joinParts(
            parts.map((part) => parseEntry(part)),
            sha256,
          ),
          payload,
        ),
      ).toBe(0)
    }
  })

  it('is parsed unchanged for any valid id, type and payload', () => {
    const text = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
      .filter((id) => idProblem(id) === undefined)
    fc.assert(
      fc.property(text, text, fc.uint8Array({ maxLength: 300 }), (id, type, payload) => {
        const [entry] = entriesOf(content(payload, id, type), sha256)
        const parsed = parseEntry(entry ?? new Uint8Array())
        expect(parsed.header).toEqual({ id, type, time: TIME, fields: [] })
        expect(Buffer.compare(parsed.payload, payload)).toBe(0)
      }),
    )
  })

  it.each([
    ['', 'none'],
    ['a\nb', 'control'],
    ['a\u0085', 'control'],
    ['a\ud800', 'surrogate'],
    ['é'.repeat(129), '258'],
  ])('rejects the id %j', (id, why) => {
    expect(idProblem(id)).toContain(why)
    expect(() => entriesOf(content(bytes(''), id), sha256)).toThrow('id: ')
  })

  it('rejects unsorted, repeated and reserved fields', () => {
    for (const fields of [
      [
        ['b', ''],
        ['a', ''],
      ],
      [
        ['a', ''],
        ['a', ''],
      ],
      [['parts', '2']],
      [['A', '']],
      [['a', '\u0000']],
    ] as [string, string][][]) {
      expect(fieldsProblem(fields)).toBeTypeOf('string')
    }
  })

  it.each([
    ['service-fs/entry/v2\nid: a\ntype: t\ntime: T\n\n', 'first line'],
    ['service-fs/entry/v1\nid: a\ntype: t\ntime: T\n', 'empty line'],
    ['service-fs/entry/v1\ntype: t\nid: a\ntime: T\n\n', '"id: …"'],
    ['service-fs/entry/v1\nid: a\ntype: t\ntime: yesterday\n\n', 'RFC 3339'],
    ['service-fs/entry/v1\nid: a\ntype: t\ntime: 2026-02-31T00:00:00.000Z\n\n', 'RFC 3339'],
    ['service-fs/entry/v1\nid: a\ntype: t\ntime: T\nz: 1\na: 1\n\n', 'ascending'],
    ['service-fs/entry/v1\nid: a\ntype: t\ntime: T\nid: b\n\n', 'duplicate header line id'],
    ['service-fs/entry/v1\nid: a\ntype: t\ntime: T\nA b\n\n', 'name: value'],
    ['service-fs/entry/v1\nid: a\ntype: t\ntime: T\npart: 1/2\n\n', 'part'],
    ['service-fs/entry/v1\nid: a\ntype: t\ntime: T\npart: 3/2\n\n', 'part'],
    ['service-fs/entry/v1\nid: a\ntype: t\ntime: T\nparts: 2\n\n', 'together'],
    [
      `service-fs/entry/v1\nid: a\ntype: t\ntime: T\nlength: 70000\nparts: 3\nsha256: ${'0'.repeat(64)}\n\n`,
      'parts: expected 2',
    ],
    ['service-fs/entry/v1\nid: a\u0007\ntype: t\ntime: T\n\n', 'control'],
  ])('rejects %j', (text, why) => {
    expect(() => parseEntry(bytes(text.replace(': T', `: ${TIME}`)))).toThrow(why)
  })

  it('rejects parts that do not belong together', () => {
    const parts = entriesOf(content(new Uint8Array(200_000)), sha256).map((part) => parseEntry(part))
    const others = entriesOf(content(new Uint8Array(200_000).fill(1)), sha256).map((part) => parseEntry(part))
    const [a, b, c, d] = parts
    if (a === undefined || b === undefined || c === undefined || d === undefined)
      throw new Error('expected four parts')
    expect(() => joinParts([a, b, d, c], sha256)).toThrow('expected part 3/4')
    expect(() => joinParts([a, b, c], sha256)).toThrow('expected 4 parts')
    expect(() => joinParts([b], sha256)).toThrow('first part')
    expect(() => joinParts([a, b, c, others[3] ?? d], sha256)).toThrow('expected sha256')
    expect(pureCodec.utf8Decode(b.payload.subarray(0, 1))).toBe('\0')
  })
})
