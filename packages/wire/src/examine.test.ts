import { parseEntry } from '@service-fs/format/entry'
import { pureCodec } from '@service-fs/tlog/codec'
import { describe, expect, it } from 'vitest'

import type { WireOptions } from './call.ts'
import type { PackBody, PackMaker, RecordedPack } from './packs.ts'
import type { WireRequest, WireResponse } from './request.ts'
import { harness, type Harness } from './testing.ts'

/** A pack whose bytes the test provides. */
class TestPack implements PackMaker {
  readonly size = 1
  stopped: Error | undefined
  entry: RecordedPack | undefined
  readonly pieces: (string | Error | undefined)[]
  readonly #asked: () => void
  #fail: (why: Error) => void = () => undefined

  /** `undefined` is a piece that never arrives: `next` waits until the pack is stopped. */
  constructor(pieces: (string | Error | undefined)[], asked: () => void = () => undefined) {
    this.pieces = pieces
    this.#asked = asked
  }

  recorded(entry: RecordedPack): void {
    this.entry = entry
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#asked()
    if (this.pieces.length === 0) return { done: true, value: undefined }
    const piece = this.pieces.shift()
    if (piece instanceof Error) throw piece
    if (piece === undefined) return new Promise((_, reject) => (this.#fail = reject))
    return { done: false, value: pureCodec.utf8Encode(piece) }
  }

  async stop(why: Error): Promise<void> {
    this.stopped = why
    this.#fail(why)
  }
}

function withPacks(make: NonNullable<WireOptions['examine']>): Promise<Harness> {
  return harness(() => ({ examine: make }))
}

function post(h: Harness, body: unknown, more: Partial<WireRequest> = {}): Promise<WireResponse> {
  const headers: Record<string, string> = {
    'x-foundry-module-id': 'acme',
    'content-type': 'application/json',
  }
  return h.wire.handle({
    method: 'POST',
    target: '/v1/examine',
    header: (name) => headers[name],
    body: pureCodec.utf8Encode(typeof body === 'string' ? body : JSON.stringify(body)),
    ...more,
  })
}

function codeOf({ status, body }: WireResponse): [number, string] {
  return [status, JSON.parse(body as string).code]
}

const streamOf = ({ status, body }: WireResponse): PackBody => {
  expect(status).toBe(200)
  return body as PackBody
}

const CONDITIONS = {
  from: '2026-01-01T00:00:00.000Z',
  to: '2027-01-01T00:00:00.000Z',
  type: 'text/plain',
  prefix: 'a/',
}

describe('POST /v1/examine', () => {
  it('records the selection before it asks for the first byte', async () => {
    const sizes: number[] = []
    const pack = new TestPack(['one', 'two'], () => sizes.push(h.audit.size))
    const h: Harness = await withPacks(async () => pack)
    const response = await post(h, CONDITIONS, { subject: 'alice' })
    const index = Number(response.headers['x-audit-index'])
    expect([response.headers['content-type'], index, sizes]).toEqual(['application/zip', 0, []])
    const read: string[] = []
    for await (const bytes of streamOf(response)) read.push(pureCodec.utf8Decode(bytes))
    expect([read, sizes]).toEqual([
      ['one', 'two'],
      [1, 1, 1],
    ])
    const [entry] = await h.audit.entries(0, 1)
    const { payload } = parseEntry(entry as Uint8Array)
    expect(JSON.parse(pureCodec.utf8Decode(payload))).toMatchObject({
      route: '/v1/examine',
      method: 'POST',
      subject: 'alice',
      time_from: CONDITIONS.from,
      time_to: CONDITIONS.to,
      type: 'text/plain',
      prefix: 'a/',
      size: 1,
    })
    const { origin, vkeys } = h.audit
    expect(pack.entry).toEqual({ origin, vkeys, index: 0, payload, proof: await h.audit.tlogProof(0) })
  })

  it('gives the pack no audit entry when reads are public', async () => {
    const pack = new TestPack(['one'])
    const h = await harness(() => ({ examine: async () => pack, publicReads: true }))
    expect([(await post(h, {})).status, pack.entry, h.audit.size]).toEqual([200, undefined, 0])
  })

  it('makes no pack if the read cannot be recorded', async () => {
    const pack = new TestPack(['one'], () => expect.unreachable())
    const h = await harness((options) => ({
      examine: async () => pack,
      audit: Object.assign(options.audit!, { appendFresh: () => Promise.reject(new Error('no disk')) }),
    }))
    expect(codeOf(await post(h, {}))).toEqual([500, 'internal'])
    expect(codeOf(await post(h, {}))).toEqual([500, 'internal'])
  })

  it.each([
    ['{', 'body'],
    ['null', 'body'],
    ['[]', 'body'],
    [{ since: 1 }, 'since'],
    [{ from: 1 }, 'from'],
    [{ from: 'yesterday' }, 'from'],
    [{ from: CONDITIONS.to, to: CONDITIONS.from }, 'to'],
    [{ type: '' }, 'type'],
    [{ prefix: null }, 'prefix'],
    [{ where: '/a=1' }, 'where'],
    [{ where: [1] }, 'where'],
    [{ where: ['a=1'] }, 'where'],
  ])('rejects the body %j', async (body, field) => {
    const h = await withPacks(() => expect.unreachable())
    const response = await post(h, body)
    expect([codeOf(response), JSON.parse(response.body as string).field]).toEqual([
      [400, 'bad-request'],
      field,
    ])
    expect(h.audit.size).toBe(0)
  })

  it('is 501 if the server cannot make packs', async () => {
    expect(codeOf(await post(await harness(), {}))).toEqual([501, 'not-implemented'])
  })

  it('makes at most one pack for each subject and each client address, and at most two in all', async () => {
    const h = await withPacks(async () => new TestPack(['a', undefined]))
    const alice = streamOf(await post(h, {}, { subject: 'alice', address: '192.0.2.1' }))
    const others: Partial<WireRequest>[] = [
      { subject: 'alice', address: '192.0.2.2' },
      { subject: 'bob', address: '192.0.2.1' },
    ]
    for (const other of others) expect(codeOf(await post(h, {}, other))).toEqual([503, 'busy'])
    const bob = streamOf(await post(h, {}, { subject: 'bob', address: '192.0.2.2' }))
    expect(codeOf(await post(h, {}, { subject: 'carol' }))).toEqual([503, 'busy'])
    await alice.return()
    await bob.return()
    // For these requests, neither a subject nor an address is known.
    for (let i = 0; i < 2; i++) streamOf(await post(h, {}, { subject: 'anonymous' }))
    expect(codeOf(await post(h, {}))).toEqual([503, 'busy'])
  })

  it('releases its slot when the pack ends, fails, or its client disconnects', async () => {
    const packs: TestPack[] = []
    const next = (...pieces: ConstructorParameters<typeof TestPack>[0]) => packs.push(new TestPack(pieces))
    const h = await withPacks(async () => packs.shift() as TestPack)
    const ask = async () => streamOf(await post(h, {}, { subject: 'alice' }))
    next('a')
    for await (const _ of await ask());
    next('a', new Error('damaged'))
    const failing = await ask()
    await failing.next()
    await expect(failing.next()).rejects.toThrow('damaged')
    next(undefined)
    const [left] = packs
    const leaving = await ask()
    const pending = expect(leaving.next()).rejects.toThrow('disconnected')
    await leaving.return()
    await pending
    expect(left?.stopped).toBeDefined()
    next('a')
    await ask()
  })

  it('stops packs when the server drains, and begins no more packs', async () => {
    const h = await withPacks(async () => new TestPack([undefined]))
    const body = streamOf(await post(h, {}))
    const pending = expect(body.next()).rejects.toMatchObject({ code: 'closed' })
    h.wire.drain()
    await pending
    expect(codeOf(await post(h, {}))).toEqual([503, 'closed'])
  })
})
