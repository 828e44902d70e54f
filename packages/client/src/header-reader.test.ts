import { entriesOf, parseEntry } from '@service-fs/format/entry'
import { nativeCodec, sha256Hex } from '@service-fs/native/native'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { fingerprint } from './fingerprint.ts'
import { HeaderReader } from './header-reader.ts'

const KEY = [1, 2] as const

/** Returns the identifier and the time of an entry, and whether the entry is accepted, according to `parseEntry`. */
function parsed(entry: Uint8Array): { id: string; time: string } | undefined {
  try {
    const { header, split, continuation } = parseEntry(entry, nativeCodec)
    return split === undefined && continuation === undefined
      ? { id: header.id, time: header.time }
      : undefined
  } catch {
    return undefined
  }
}

/** Reads an entry within a larger array, and compares the result with the result of `parseEntry`. Returns whether it was accepted. */
function check(entry: Uint8Array): boolean {
  const bytes = Buffer.concat([Buffer.from('x\n'), entry, Buffer.from('\n\n')])
  const reader = new HeaderReader(KEY)
  const words = new Uint32Array(2)
  const isAccepted = reader.read(bytes, 2, 2 + entry.length, words, 0)
  const expected = parsed(entry)
  expect(isAccepted, JSON.stringify(Buffer.from(entry).toString('latin1'))).toBe(expected !== undefined)
  if (expected === undefined) return false
  expect(bytes.toString('latin1', reader.time, reader.time + 24)).toBe(expected.time)
  const id = Buffer.from(expected.id)
  const wanted = new Uint32Array(2)
  fingerprint(id, 0, id.length, KEY, wanted, 0)
  expect([...words]).toEqual([...wanted])
  return true
}

const content = {
  id: 'a',
  type: 'text/plain',
  time: '2026-11-22T00:00:00.000Z',
  payload: Buffer.from('payload\n\nid: b\n'),
}

function entryWith(changes: object): Uint8Array {
  return entriesOf({ ...content, ...changes }, sha256Hex)[0] as Uint8Array
}

it('the header reader accepts every whole record', () => {
  const texts = ['a', 'x'.repeat(255), 'é', '\u{1F600}', '~ !', '日本'.repeat(40)]
  for (const id of [...texts, 'x'.repeat(256)])
    for (const type of texts) expect(check(entryWith({ id, type }))).toBe(true)
  expect(check(entryWith({ payload: new Uint8Array() }))).toBe(true)
  expect(
    check(
      entryWith({
        fields: [
          ['author', 'me'],
          ['subject', 'ü'],
        ],
      }),
    ),
  ).toBe(true)
})

it('the header reader rejects the parts of split records', () => {
  for (const part of entriesOf({ ...content, payload: new Uint8Array(150_000) }, sha256Hex))
    expect(check(part)).toBe(false)
})

it('the header reader rejects every entry that parseEntry rejects', () => {
  const text = Buffer.from(entryWith({})).toString('latin1')
  for (const bad of [
    text.replace('v1', 'v2'),
    text.replace('id: a', 'id: '),
    text.replace('id: a', `id: ${'a'.repeat(257)}`),
    text.replace('id: a', 'id: a\u0080'),
    text.replace('id: a', 'id: a\u00c2\u0085'),
    text.replace('id: a', 'id: a\r'),
    text.replace('id: a', 'id: a\u007f'),
    text.replace('text/plain', ''),
    text.replace('text/plain', 'a'.repeat(256)),
    text.replace('11-22', '11-31'),
    text.replace('.000Z', '.000'),
    text.replace('.000Z\n\n', '.000Z\n'),
    text.replace('.000Z\n\n', '.000Z\nid: b\n\n'),
    '',
  ])
    expect(check(Buffer.from(bad, 'latin1'))).toBe(false)
})

it('the header reader agrees with parseEntry on entries with changed, missing and additional bytes', () => {
  const whole = Buffer.from(entryWith({ fields: [['n', '1']] }))
  const short = Buffer.from(entryWith({}))
  const source = fc.constantFrom(whole, short)
  fc.assert(
    fc.property(source, fc.nat(140), fc.nat(255), fc.constantFrom(0, 1, 2), (original, at, byte, kind) => {
      const [before, after] = [original.subarray(0, at), original.subarray(at)]
      if (kind === 0) check(Buffer.concat([before, Buffer.of(byte), after.subarray(1)]))
      else if (kind === 1) check(Buffer.concat([before, Buffer.of(byte), after]))
      else check(Buffer.concat([before, after.subarray(1)]))
    }),
    { numRuns: 10_000 },
  )
  for (let end = 0; end <= whole.length; end++) check(whole.subarray(0, end))
})
