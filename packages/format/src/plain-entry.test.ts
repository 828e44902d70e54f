import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { entriesOf, parseEntry, type RecordContent } from './entry.ts'
import { PlainEntry, PRINTABLE, UNESCAPED } from './plain-entry.ts'

const sha256Hex = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex')

const CONTENT = {
  id: 'invoice-2026-0001',
  type: 'application/json',
  time: '2026-11-22T18:43:00.123Z',
  payload: Buffer.from('{"total":12}'),
}

const entryOf = (content: Partial<RecordContent>): Uint8Array =>
  entriesOf({ ...CONTENT, ...content }, sha256Hex)[0] as Uint8Array

/** Returns the entry as PlainEntry finds it within a larger array, in the form of parseEntry(). */
function found(entry: Uint8Array): object | undefined {
  const parts = new PlainEntry(PRINTABLE)
  const bytes = Buffer.concat([Buffer.from('\n'), entry, Buffer.from('\n\n')])
  if (!parts.read(bytes, 1, 1 + entry.length)) return undefined
  const text = (from: number, to: number): string => bytes.toString('latin1', from, to)
  const { id, idEnd, type, typeEnd, time, timeEnd, payload } = parts
  const isUnescaped = new PlainEntry(UNESCAPED).read(bytes, 1, 1 + entry.length)
  expect(isUnescaped).toBe(!/["\\]/.test(text(id, idEnd) + text(type, typeEnd)))
  return {
    header: { id: text(id, idEnd), type: text(type, typeEnd), time: text(time, timeEnd), fields: [] },
    headerLength: payload - 1,
    payload: entry.subarray(payload - 1),
  }
}

function parsed(bytes: Uint8Array): object | undefined {
  try {
    return parseEntry(bytes)
  } catch {
    return undefined
  }
}

const two = (n: number): string => String(n).padStart(2, '0')

/** A time in the place of the entry's, of the same length. */
function withTime(time: string): Uint8Array {
  return Buffer.from(Buffer.from(entryOf({})).toString('latin1').replace(CONTENT.time, time), 'latin1')
}

describe('a plain entry', () => {
  it('has the parts that parsing finds', () => {
    const plain = fc.stringMatching(/^[ -~]{1,250}$/)
    fc.assert(
      fc.property(plain, plain, fc.uint8Array({ maxLength: 300 }), (id, type, payload) => {
        const bytes = entryOf({ id, type, payload })
        expect(found(bytes)).toEqual(parseEntry(bytes))
      }),
    )
  })

  it('is never an invalid entry', () => {
    const whole = entryOf({})
    const change = fc.record({ at: fc.nat(whole.length - 1), byte: fc.nat(255) })
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), fc.nat(whole.length), (changes, cut) => {
        const bytes = Uint8Array.from(whole)
        for (const { at, byte } of changes) bytes[at] = byte
        for (const some of [bytes, whole.subarray(0, cut)]) {
          const plain = found(some)
          if (plain !== undefined) expect(plain).toEqual(parsed(some))
        }
      }),
      { numRuns: 2000 },
    )
  })

  it.each([
    { id: 'ä' },
    { type: 'text/plain; name="ä"' },
    { fields: [['reference', 'x']] as const },
    { payload: new Uint8Array(70_000) },
  ])('is not one with %j', (content) => {
    expect(found(entryOf(content))).toBeUndefined()
  })

  it('is dated on a day that exists', () => {
    for (const year of ['0000', '1900', '2000', '2023', '2024', '2100'])
      for (let month = 0; month <= 13; month++)
        for (let day = 0; day <= 32; day++) {
          const bytes = withTime(`${year}-${two(month)}-${two(day)}T23:59:59.999Z`)
          expect(found(bytes)).toEqual(parsed(bytes))
        }
  })

  it.each([
    '2026-11-22T24:00:00.000Z',
    '2026-11-22T23:60:00.000Z',
    '2026-11-22T23:59:60.000Z',
    '2026-11-22t18:43:00.123Z',
  ])('is not dated %s', (time) => {
    expect(found(withTime(time))).toBeUndefined()
    expect(parsed(withTime(time))).toBeUndefined()
  })
})
