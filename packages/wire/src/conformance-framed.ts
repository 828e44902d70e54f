/** The part of the conformance suite about framed batches (docs/wire.md, "Framed batches"). */
import { pureCodec } from '@service-fs/tlog/codec'

import { JSON_TYPE, NDJSON, type Answer, type Json, type Server, type Tools } from './conformance-tools.ts'

const FRAMED = { 'content-type': 'application/vnd.service-fs.batch' } as const

interface FramedRecord {
  readonly id: string | Uint8Array
  readonly type?: string | Uint8Array
  readonly payload?: string | Uint8Array
}

const bytesOf = (text: string | Uint8Array): Uint8Array =>
  typeof text === 'string' ? pureCodec.utf8Encode(text) : text

/** Returns the three lengths of a record as docs/wire.md specifies them. */
function lengths(id: number, type: number, payload: number): Uint8Array {
  return Uint8Array.of(id >> 8, id, type >> 8, type, payload >>> 24, payload >>> 16, payload >>> 8, payload)
}

function frame({ id, type = JSON_TYPE, payload = '1' }: FramedRecord): Uint8Array {
  const parts = [id, type, payload].map(bytesOf) as [Uint8Array, Uint8Array, Uint8Array]
  return pureCodec.concat(lengths(parts[0].length, parts[1].length, parts[2].length), ...parts)
}

const framed = (records: readonly FramedRecord[]): Uint8Array => pureCodec.concat(...records.map(frame))

/** Returns the same records as NDJSON. */
const asLines = (records: readonly FramedRecord[]): string =>
  records
    .map(({ id, type = JSON_TYPE, payload = '1' }) =>
      JSON.stringify({ payload_id: id, type, payload_base64: pureCodec.base64Encode(bytesOf(payload)) }),
    )
    .join('\n')

const RECORDS: readonly FramedRecord[] = [
  { id: 'ü/1', payload: '{"a": 1}' },
  { id: 'bytes', type: 'x/y; z="1"', payload: Uint8Array.of(0, 255, 10, 13) },
  { id: 'empty', type: 'inode/directory', payload: '' },
  { id: '\ufeffi'.repeat(64), type: `a/${'b'.repeat(253)}`, payload: '\u0000' },
  { id: 'large', type: 'a/b', payload: new Uint8Array(70_000).fill(7) },
]

const places = ({ json }: Answer): Json =>
  json.entries.map((e: Json) => [e.payload_id, e.cursor, e.parts, e.leaf_hash, e.duplicate])

export function framedBatches({ it, same, like, refused }: Tools): void {
  it('appends a framed batch in one commit, with the entries that NDJSON makes', async (w) => {
    const got = await w.post(framed(RECORDS), FRAMED)
    same([got.status, Object.keys(got.json)], [200, ['entries', 'checkpoint']])
    same(
      got.json.entries.map((e: Json) => [e.payload_id, e.cursor, e.parts, e.duplicate]),
      RECORDS.map(({ id }, i) => [id, i + 1, i === 4 ? 2 : 1, false]),
    )
    like(await w.opened(got.json.checkpoint), { size: 6 })
    for (const [i, { id, type = JSON_TYPE, payload = '' }] of RECORDS.slice(0, 4).entries()) {
      const { time, leaf_hash: leaf } = got.json.entries[i]
      const header = `service-fs/entry/v1\nid: ${id as string}\ntype: ${type as string}\ntime: ${time}\n\n`
      const entry = pureCodec.concat(pureCodec.utf8Encode(header), bytesOf(payload))
      same(w.base64(await w.entry(i)), w.base64(entry))
      same(leaf, w.hasher.leaf(entry))
    }
    const asNdjson = await w.post(asLines(RECORDS), NDJSON)
    same(
      places(asNdjson),
      places(got).map((place: Json) => [...place.slice(0, 4), true]),
    )
    same((await w.ask('/v1/records/%C3%BC%2F1')).json.payload_base64, w.base64(bytesOf('{"a": 1}')))
  })

  it('answers duplicates and conflicts in a framed batch as in NDJSON', async (w) => {
    const first = await w.post(asLines(RECORDS), NDJSON)
    const again = framed([{ id: 'new' }, ...RECORDS, { id: 'new' }])
    same(
      places(await w.post(again, FRAMED)).slice(1, -1),
      places(first).map((place: Json) => [...place.slice(0, 4), true]),
    )
    const conflict = framed([{ id: 'other' }, { id: 'bytes', type: 'x/y' }])
    refused(await w.post(conflict, FRAMED), 'conflict', { cursor: 2 })
    const twins = framed([{ id: 'twin' }, { id: 'twin', payload: '2' }])
    refused(await w.post(twins, FRAMED), 'conflict', { cursor: undefined })
    same((await w.ask('/v1/entries')).json.next_cursor, 7)
    // With X-Payload-ID, the media type describes the payload.
    const raw = { ...FRAMED, 'x-payload-id': 'raw' }
    like((await w.post(again, raw)).json, { payload_id: 'raw', cursor: 8 })
  })

  it('rejects an invalid framed batch, names the record and the field, and records nothing', async (w) => {
    const fine = frame({ id: 'fine' })
    for (const [bad, field] of BAD_FRAMES) {
      const body = pureCodec.concat(fine, bad)
      refused(await w.post(body, FRAMED), 'bad-request', { field, record: 2 })
    }
    for (const [bad, field] of WHOLE_BAD_FRAMES) {
      const body = pureCodec.concat(fine, bad, frame({ id: 'fine 2' }))
      refused(await w.post(body, FRAMED), 'bad-request', { field, record: 2 })
    }
    const cut = { field: 'payload', record: 1, expected: '1 bytes', supplied: '0 before the end of the body' }
    refused(await w.post(fine.subarray(0, -1), FRAMED), 'bad-request', cut)
    refused(await w.post('', FRAMED), 'bad-request', { field: 'body', expected: 'at least one record' })
    const type = `${FRAMED['content-type']}; charset=utf-16`
    refused(await w.post(fine, { 'content-type': type }), 'unsupported-media-type', { field: 'Content-Type' })
    same((await w.ask('/v1/entries')).json.entries, [])
    const fineType = 'Application/vnd.Service-FS.batch; a=b'
    same((await w.post(fine, { 'content-type': fineType })).status, 200)
  })

  it('accepts framed batches within the advertised limits', async (w) => {
    await framedLimits(w, { same, refused })
  })
}

async function framedLimits(w: Server, { same, refused }: Pick<Tools, 'same' | 'refused'>): Promise<void> {
  const { limits } = (await w.ask('/v1/contract')).json
  const { append_lines: lines, append_bytes: bytes, payload_bytes: most } = limits
  const many = (count: number): Uint8Array =>
    framed(Array.from({ length: count }, (_, i) => ({ id: `r${i}` })))
  const over = { field: 'body', expected: lines, supplied: lines + 1 }
  refused(await w.post(many(lines + 1), FRAMED), 'too-large', over)
  // The server stops counting at the first record over the limit, whatever follows.
  refused(await w.post(new Uint8Array(8 * 3 * lines), FRAMED), 'too-large', over)
  const got = await w.post(many(lines), FRAMED)
  same([got.status, got.json.entries.at(-1).cursor], [200, lines])
  const large = new Uint8Array(most + 1).fill(1)
  const size = { field: 'payload', record: 2, expected: most, supplied: most + 1 }
  refused(await w.post(framed([{ id: 'small' }, { id: 'big', payload: large }]), FRAMED), 'too-large', size)
  const whole = { id: 'big', payload: large.subarray(1) }
  same((await w.post(frame(whole), FRAMED)).json.entries[0].cursor, lines + 1)
  refused(await w.post(new Uint8Array(bytes + 1), FRAMED), 'too-large', { field: 'body', expected: bytes })
}

/** Incomplete records at the end of a body, and the field that the response names. */
const BAD_FRAMES: readonly (readonly [bytes: Uint8Array, field: string])[] = [
  [Uint8Array.of(0), 'body'],
  [new Uint8Array(7), 'body'],
  [lengths(5, 3, 0), 'payload_id'],
  [frame({ id: 'abc' }).subarray(0, 10), 'payload_id'],
  [frame({ id: 'abc' }).subarray(0, 20), 'type'],
  [frame({ id: 'abc', payload: '12' }).subarray(0, -1), 'payload'],
  [pureCodec.concat(lengths(1, 3, 2 ** 32 - 1), bytesOf('aa/b1')), 'payload'],
]

/** Records with valid lengths that are 400, and the field that the response names. */
const WHOLE_BAD_FRAMES: readonly (readonly [bytes: Uint8Array, field: string])[] = [
  [frame({ id: '' }), 'payload_id'],
  [frame({ id: 'é'.repeat(129) }), 'payload_id'],
  [frame({ id: 'a'.repeat(65_535) }), 'payload_id'],
  [frame({ id: 'a\nb' }), 'payload_id'],
  [frame({ id: 'a\u0000b' }), 'payload_id'],
  [frame({ id: 'a\u0085b' }), 'payload_id'],
  [frame({ id: Uint8Array.of(0x61, 0xff) }), 'payload_id'],
  // An overlong form, a surrogate, and a code point beyond U+10FFFF (RFC 3629 §3).
  [frame({ id: Uint8Array.of(0xc0, 0xaf) }), 'payload_id'],
  [frame({ id: Uint8Array.of(0xed, 0xa0, 0x80) }), 'payload_id'],
  [frame({ id: Uint8Array.of(0xf4, 0x90, 0x80, 0x80) }), 'payload_id'],
  [frame({ id: 'a', type: '' }), 'type'],
  [frame({ id: 'a', type: 'json' }), 'type'],
  [frame({ id: 'a', type: 'a/b\nc: d' }), 'type'],
  [frame({ id: 'a', type: 'a/\u0000' }), 'type'],
  [frame({ id: 'a', type: 'a/é' }), 'type'],
  [frame({ id: 'a', type: Uint8Array.of(0x61, 0x2f, 0xff) }), 'type'],
  [frame({ id: 'a', type: `a/${'b'.repeat(254)}` }), 'type'],
]
