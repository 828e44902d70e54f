import fc from 'fast-check'
import { nativeCodec } from '@service-fs/native/native'
import { pureCodec } from '@service-fs/tlog/codec'
import { describe, expect, it } from 'vitest'

import { framedRecords } from './framed-batch.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import { Problem } from './problem.ts'

interface Sent {
  id: string
  type: string
  payload: Uint8Array
}

/** Encodes a record as docs/wire.md specifies it, with Node's Buffer. */
function frame({ id, type, payload }: Sent): Buffer {
  const lengths = Buffer.alloc(8)
  lengths.writeUInt16BE(Buffer.byteLength(id), 0)
  lengths.writeUInt16BE(Buffer.byteLength(type), 2)
  lengths.writeUInt32BE(payload.length, 4)
  return Buffer.concat([lengths, Buffer.from(id), Buffer.from(type), payload])
}

const record: fc.Arbitrary<Sent> = fc.record({
  id: fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
    // oxlint-disable-next-line no-control-regex
    .filter((id) => !/[\u0000-\u001f\u007f-\u009f]/.test(id) && Buffer.byteLength(id) <= 256),
  type: fc.constantFrom('text/plain', 'application/json', 'a/b; c="d"'),
  payload: fc.uint8Array({ maxLength: 50 }),
})

/** Returns the records of a body, or the problem that refuses it. */
function read(body: Uint8Array): Sent[] | Problem {
  try {
    return framedRecords(body, DEFAULT_LIMITS, nativeCodec)
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
}

describe.each([
  ['native', nativeCodec],
  ['pure', pureCodec],
] as const)('a framed batch with the %s codec', (_, codec) => {
  it('has the framed records at any offset in its buffer', () => {
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 8 }), fc.nat(9), (records, before) => {
        const body = Buffer.concat([Buffer.alloc(before, 0xff), ...records.map(frame)]).subarray(before)
        const found = framedRecords(body, DEFAULT_LIMITS, codec)
        expect(found.map((one) => ({ ...one, payload: Buffer.from(one.payload) }))).toEqual(
          records.map((one) => ({ ...one, payload: Buffer.from(one.payload) })),
        )
      }),
    )
  })
})

it('refuses a framed batch cut anywhere but between records', () => {
  const records = ['a', 'é', 'ccc'].map((id) => ({ id, type: 'a/b', payload: Buffer.from('xyz') }))
  const body = Buffer.concat(records.map(frame))
  const ends = records.map((_, i) => Buffer.concat(records.slice(0, i + 1).map(frame)).length)
  for (let length = 0; length < body.length; length++) {
    const found = read(body.subarray(0, length))
    if (ends.includes(length)) expect(found).toHaveLength(ends.indexOf(length) + 1)
    else expect(found, `${length} bytes`).toMatchObject({ code: 'bad-request' })
  }
})

it('parses or refuses arbitrary bytes, and returns only records that are in them', () => {
  const small = fc.uint8Array({ maxLength: 40 }).map((bytes) => bytes.map((byte) => (byte < 128 ? 0 : byte)))
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), small), (bytes) => {
      const found = read(bytes)
      if (found instanceof Problem) return
      expect(Buffer.concat(found.map(frame)).equals(bytes)).toBe(true)
    }),
    { numRuns: 2000 },
  )
})

it('refuses a changed length, or reads other records', () => {
  const bodies = fc.tuple(
    fc.array(record, { minLength: 1, maxLength: 4 }),
    fc.nat(),
    fc.integer({ min: 1, max: 255 }),
  )
  fc.assert(
    fc.property(bodies, ([records, at, change]) => {
      const body = Buffer.concat(records.map(frame))
      const place = at % 8
      body[place] = (body[place] as number) ^ change
      const found = read(body)
      if (found instanceof Problem) return
      expect(Buffer.concat(found.map(frame)).equals(body)).toBe(true)
    }),
  )
})
