import { openTestLedger, TestRuntime, textRecord } from '@service-fs/ledger/testing'
import { nativeCodec, nativeCrypto, nativeHasher } from '@service-fs/native/native'
import { MemoryStorage } from '@service-fs/storage/memory'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import type { WireLedger } from './call.ts'
import { DEFAULT_LIMITS, type Limits } from './limits.ts'
import { createWire, type Wire } from './handle.ts'
import { testKeys } from './in-process.ts'
import type { WireResponse } from './request.ts'

const KEYS = testKeys('example.org/ledger/acme', nativeCrypto)

/** A wire over a ledger and its audit sub-ledger. It counts reads of the ledger, and appends to the audit sub-ledger wait for `gate`. */
class Bench {
  readonly runtime = Object.assign(new TestRuntime(), { hasher: nativeHasher, codec: nativeCodec })
  readonly reports: unknown[] = []
  readonly limits: Limits
  /** Entries and records that the wire has read from the ledger, and files that the ledger has read from the storage. */
  records = 0
  files = 0
  /** Awaited before each append to the audit sub-ledger. */
  gate: () => Promise<void> = async () => {}
  /** Awaited before each read of the ledger. */
  readGate: () => Promise<void> = async () => {}
  #ledger: WireLedger & { close(): Promise<void> } = undefined as never
  audit: WireLedger & { close(): Promise<void> } = undefined as never
  wire: Wire = undefined as never
  #ids = 0
  #appended = 0

  constructor(limits: Partial<Limits>) {
    this.limits = { ...DEFAULT_LIMITS, ...limits }
  }

  async open(isPublic = false): Promise<this> {
    const { runtime } = this
    const storage = new MemoryStorage()
    const read = storage.read.bind(storage)
    storage.read = (path) => {
      this.files += 1
      return read(path)
    }
    const { main, audit: auditKey } = KEYS
    const ledger = await openTestLedger({ origin: main.signer.name, signer: main.signer, storage, runtime })
    const audit = await openTestLedger({ origin: auditKey.signer.name, signer: auditKey.signer, runtime })
    await Promise.all([ledger.ready(), audit.ready()])
    this.#ledger = ledger
    this.audit = audit
    this.wire = createWire({
      moduleId: 'acme',
      ledger: changed(ledger, {
        records: (since, options) => this.#counted(since, options),
        entries: async (from, to) => {
          await this.readGate()
          const entries = await ledger.entries(from, to)
          this.records += entries.length
          return entries
        },
      }),
      audit: isPublic
        ? undefined
        : changed(audit, {
            appendFresh: async (records) => {
              await this.gate()
              return audit.appendFresh(records)
            },
          }),
      codec: nativeCodec,
      now: () => runtime.now(),
      after: (ms, run) => runtime.after(ms, run),
      requestId: () => `r${++this.#ids}`,
      ready: async () => ({ ready: true }),
      version: '0.0.0',
      report: (error) => this.reports.push(error),
      limits: this.limits,
    })
    return this
  }

  async *#counted(...question: Parameters<WireLedger['records']>): ReturnType<WireLedger['records']> {
    await this.readGate()
    for await (const record of this.#ledger.records(...question)) {
      this.records += 1
      yield record
    }
  }

  get size(): number {
    return this.#ledger.size
  }

  async append(count: number, bytes = 10): Promise<void> {
    const from = this.#appended
    this.#appended += count
    await this.#ledger.append(
      Array.from({ length: count }, (_, i) => textRecord(`r${from + i}`, 'x'.repeat(bytes))),
    )
  }

  /** Blocks audit appends until the returned function is called. */
  shut(): () => void {
    let open: () => void = nothing
    this.gate = () => new Promise((resolve) => (open = resolve))
    return () => open()
  }

  handle(target: string, headers: Record<string, string> = {}, method = 'GET'): Promise<WireResponse> {
    const sent: Record<string, string> = { 'x-foundry-module-id': 'acme', ...headers }
    return this.wire.handle({ method, target, header: (name) => sent[name], body: new Uint8Array() })
  }

  async follow(target = '/v1/follow'): Promise<Reader> {
    const { status, body } = await this.handle(target)
    expect(status).toBe(200)
    return new Reader(body as AsyncIterable<Uint8Array>)
  }

  async close(): Promise<void> {
    this.wire.drain()
    await this.audit.close()
    await this.#ledger.close()
  }
}

function nothing(): void {}

/** The ledger with some of its methods replaced. */
function changed(ledger: WireLedger, methods: Partial<WireLedger>): WireLedger {
  return new Proxy(ledger, {
    get(target, name) {
      const own: unknown = Reflect.get(methods, name)
      if (own !== undefined) return own
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** Reads the stream of a follower. */
class Reader {
  text = ''
  readonly ids: number[] = []
  isOver = false
  readonly #pieces: AsyncIterator<Uint8Array>
  #taking: Promise<boolean> | undefined

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#pieces = body[Symbol.asyncIterator]()
  }

  /** Resolves with true after one piece, or with false at the end of the stream. Concurrent calls return the same result. */
  take(): Promise<boolean> {
    this.#taking ??= this.#take().finally(() => (this.#taking = undefined))
    return this.#taking
  }

  async #take(): Promise<boolean> {
    const { value, done } = await this.#pieces.next()
    if (done === true) this.isOver = true
    else this.#took(nativeCodec.utf8Decode(value))
    return !this.isOver
  }

  async until(done: () => boolean): Promise<this> {
    while (!done() && (await this.take()));
    return this
  }

  /** Reads until the record with this cursor has arrived. */
  reach(cursor: number): Promise<this> {
    return this.until(() => this.ids.at(-1) === cursor)
  }

  async leave(): Promise<void> {
    await this.#pieces.return?.()
  }

  /** No piece ends within an event. */
  #took(piece: string): void {
    this.text += piece
    for (const [, id] of piece.matchAll(/^id: (\d+)$/gm)) this.ids.push(Number(id))
  }
}

/** Runs pending promise callbacks. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 20))
}

const upTo = (last: number, first = 1): number[] =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i)

let b: Bench
const open = async (limits: Partial<Limits> = {}, isPublic = false): Promise<void> => {
  await b.close()
  b = await new Bench(limits).open(isPublic)
}
beforeEach(async () => {
  b = await new Bench({}).open()
})
afterEach(() => b.close())

describe('a hundred followers', () => {
  it('cause one read of new records, not a hundred', async () => {
    await b.append(3)
    const readers = await Promise.all(Array.from({ length: 100 }, () => b.follow('/v1/follow?since=3')))
    expect(b.wire.followers).toBe(100)
    for (const reader of readers) await reader.take()
    ;[b.records, b.files] = [0, 0]
    for (let size = 4; size <= 13; size++) {
      await b.append(1)
      await Promise.all(readers.map((reader) => reader.reach(size)))
    }
    await b.append(5)
    await Promise.all(readers.map((reader) => reader.reach(18)))
    expect([b.records, b.files]).toEqual([15, 0])
    for (const reader of readers) expect(reader.ids).toEqual(upTo(18, 4))
    // Each delivery to each follower is recorded, in shared commits.
    expect(b.audit.size).toBe(100 + 100 * 11)
  })

  it('share the bytes of new records', async () => {
    const bodies = await Promise.all(
      upTo(100).map(async () => (await b.handle('/v1/follow')).body as AsyncIterable<Uint8Array>),
    )
    const pieces = bodies.map((body) => body[Symbol.asyncIterator]())
    for (const one of pieces) await one.next()
    await b.append(1, 200_000)
    const buffers = new Set<ArrayBufferLike>()
    for (const one of pieces) {
      await one.next()
      const { value } = await one.next()
      expect(value?.length).toBeGreaterThan(200_000)
      buffers.add((value as Uint8Array).buffer)
    }
    expect(buffers.size).toBe(1)
  })
})

describe('a slow follower', () => {
  it('does not delay others, and catches up by its own reads', async () => {
    await open({ followBytes: 500, followWindow: 1500 })
    const [fast, slow] = [await b.follow(), await b.follow()]
    await Promise.all([fast.take(), slow.take()])
    for (let size = 1; size <= 60; size++) {
      await b.append(1)
      await fast.reach(size)
    }
    expect(slow.ids).toEqual([])
    const before = b.records
    expect(before).toBe(60)
    await slow.reach(60)
    expect(slow.ids).toEqual(upTo(60))
    expect(b.records - before).toBeGreaterThan(40)
    const caughtUp = b.records
    await b.append(1)
    await Promise.all([fast.reach(61), slow.reach(61)])
    expect(b.records - caughtUp).toBe(1)
  })

  it('causes no reads and no audit entries while it does not read', async () => {
    const slow = await b.follow()
    await slow.take()
    await b.append(5)
    await settled()
    expect([b.audit.size, b.records]).toEqual([1, 0])
    await slow.take()
    expect([b.audit.size, slow.ids]).toEqual([2, upTo(5)])
  })
})

describe('a batch', () => {
  it('is durably recorded before it is sent', async () => {
    const reader = await b.follow()
    await reader.take()
    const gate = b.shut()
    await b.append(2)
    const taken = reader.take()
    await settled()
    expect([reader.ids, b.audit.size]).toEqual([[], 1])
    gate()
    await taken
    expect(reader.ids).toEqual([1, 2])
    expect(reader.text).toMatch(
      /^retry: 1000\n\nevent: audit\ndata: \{"index":1,"since":0,"next_cursor":2,"entries":2\}\n\nid: 1\n/,
    )
  })

  it.each([
    ['full', 507],
    ['stopped', 500],
    ['busy', 503],
    ['clock-behind', 503],
  ])(
    'is not sent when it cannot be recorded (%s): the stream ends with the problem',
    async (code, status) => {
      const reader = await b.follow()
      b.gate = () => Promise.reject(Object.assign(new Error(`no: ${code}`), { name: 'LedgerError', code }))
      await b.append(2)
      await reader.until(() => false)
      expect([reader.ids, reader.isOver, b.wire.followers]).toEqual([[], true, 0])
      const problem = JSON.parse(/^event: problem\ndata: (.*)$/m.exec(reader.text)?.[1] ?? '')
      expect(problem).toMatchObject({ code, status })
      expect(b.reports).toHaveLength(code === 'busy' ? 0 : 1)
      const refused = await b.handle('/v1/follow')
      expect([refused.status, b.wire.followers]).toEqual([status, 0])
    },
  )

  it('ends the stream with a problem when the ledger cannot be read, and a new follower retries', async () => {
    const [one, two] = [await b.follow(), await b.follow()]
    await Promise.all([one.take(), two.take()])
    b.readGate = () =>
      Promise.reject(Object.assign(new Error('bad'), { name: 'LedgerError', code: 'corrupt' }))
    const over = [one, two].map((reader) => reader.until(() => false))
    await b.append(1)
    for (const reader of await Promise.all(over)) expect(reader.text).toContain('"code":"corrupt"')
    expect(b.reports).toHaveLength(2)
    b.readGate = async () => {}
    expect((await (await b.follow()).reach(1)).ids).toEqual([1])
  })

  it('has no audit events without an audit sub-ledger', async () => {
    await open({}, true)
    const { headers, body } = await b.handle('/v1/follow?limit=1')
    const reader = new Reader(body as AsyncIterable<Uint8Array>)
    await b.append(1)
    await reader.until(() => false)
    expect(headers).not.toHaveProperty('x-audit-index')
    expect(reader.text).toMatch(/^retry: 1000\n\nid: 1\nevent: record\ndata: .*\n\n$/)
  })

  it('receives one line for each record, even if the payload has line feeds', async () => {
    const reader = await b.follow()
    await b.append(1)
    await reader.reach(1)
    const { headers } = await b.handle('/v1/follow')
    expect(headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store, no-transform',
      'x-accel-buffering': 'no',
    })
    expect(reader.text).not.toMatch(/\r/)
  })
})

describe('timers', () => {
  it('send heartbeats to an idle follower', async () => {
    const reader = await b.follow()
    await reader.take()
    for (let i = 0; i < 3; i++) {
      const taken = reader.take()
      await settled()
      b.runtime.advance(15_000)
      await taken
    }
    expect(reader.text).toBe(`retry: 1000\n\n${':\n\n'.repeat(3)}`)
    expect(b.audit.size).toBe(1)
  })

  it('end a stream after an hour, with a retry time', async () => {
    const reader = await b.follow()
    const over = reader.until(() => false)
    for (let i = 0; i < 240; i++) {
      expect(reader.isOver).toBe(false)
      await new Promise(setImmediate)
      b.runtime.advance(15_000)
    }
    await over
    expect(reader.text.endsWith(':\n\nretry: 1000\n\n')).toBe(true)
    expect(b.wire.followers).toBe(0)
  })
})

describe('the number of followers', () => {
  it('is limited, and decreases when a follower leaves or reaches its end', async () => {
    await open({ maxFollowers: 2 })
    await b.append(1)
    const [one, two] = [await b.follow(), await b.follow('/v1/follow?limit=1')]
    for (const method of ['GET', 'HEAD']) {
      const { status, headers } = await b.handle('/v1/follow', {}, method)
      expect([status, headers['retry-after']]).toEqual([503, '1'])
    }
    await two.until(() => false)
    expect([two.ids, b.wire.followers]).toEqual([[1], 1])
    const three = await b.follow()
    expect((await b.handle('/v1/follow')).status).toBe(503)
    const waiting = one.until(() => false)
    await settled()
    await one.leave()
    await waiting
    expect([one.isOver, b.wire.followers]).toEqual([true, 1])
    await three.leave()
    await three.take()
    expect([three.isOver, b.wire.followers]).toEqual([true, 0])
    expect((await b.handle('/v1/follow', {}, 'HEAD')).status).toBe(200)
    expect(b.wire.followers).toBe(0)
  })

  it('decreases when a follower leaves while its delivery is being recorded', async () => {
    const reader = await b.follow()
    await reader.take()
    const gate = b.shut()
    await b.append(1)
    const taken = reader.take()
    await settled()
    await reader.leave()
    gate()
    expect([await taken, reader.ids]).toEqual([false, []])
  })
})

describe('drain', () => {
  it('ends waiting and slow followers at once, and admits no new ones', async () => {
    await b.append(3)
    const [waits, behind] = [await b.follow(), await b.follow()]
    await waits.reach(3)
    await behind.take()
    const over = waits.until(() => false)
    await settled()
    b.wire.drain()
    await over
    await behind.until(() => false)
    expect([waits.ids, behind.ids, b.wire.followers]).toEqual([upTo(3), [], 0])
    expect(waits.text.endsWith('retry: 1000\n\n')).toBe(true)
    const refused = await b.handle('/v1/follow')
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1'])
  })

  it('sends the delivery that was being recorded', async () => {
    const reader = await b.follow()
    await reader.take()
    const gate = b.shut()
    await b.append(1)
    const over = reader.until(() => false)
    await settled()
    b.wire.drain()
    gate()
    await over
    expect(reader.ids).toEqual([1])
  })
})

/** Returns seeded pseudo-random numbers (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

describe('any order of appends, joins, pauses and leaves', () => {
  it.each(upTo(8))('gives each follower each record once, in order: seed %i', async (seed) => {
    const random = randomOf(seed)
    await open({ followBytes: 100 + random(2000), followWindow: random(4000), maxFollowers: 40 })
    const readers: { reader: Reader; since: number }[] = []
    const cursors: number[] = []
    const busy = new Set<Promise<unknown>>()
    const go = (work: Promise<unknown>): void => {
      const done = work.finally(() => busy.delete(done))
      busy.add(done)
    }
    for (let step = 0; step < 300; step++) {
      const what = random(10)
      if (what < 3) {
        const [from, parts] = [b.size, random(8) === 0 ? 3 : 1]
        const count = parts === 3 ? 1 : 1 + random(5)
        for (let i = 0; i < count; i++) cursors.push(from + i + 1)
        await b.append(count, parts === 3 ? 130_000 : random(200))
      } else if (what === 3 && readers.length < 30) {
        const since = random(b.size + 1)
        readers.push({ reader: await b.follow(`/v1/follow?since=${since}`), since })
      } else if (what === 4 && readers.length > 5 && random(3) === 0) {
        const [gone] = readers.splice(random(readers.length), 1)
        await gone?.reader.leave()
      } else if (what === 5) {
        b.runtime.advance(random(20_000))
      } else {
        const chosen = readers[random(readers.length || 1)]
        const last = cursors.at(-1)
        if (chosen !== undefined && last !== undefined && (chosen.reader.ids.at(-1) ?? chosen.since) < last)
          go(chosen.reader.take())
        if (random(2) === 0) await new Promise(setImmediate)
        if (busy.size > 5) await Promise.all(busy)
      }
    }
    await Promise.all(busy)
    const last = cursors.at(-1) ?? 0
    for (const { reader, since } of readers) {
      if (since < last) await reader.reach(last)
      expect(reader.ids).toEqual(cursors.filter((cursor) => cursor > since))
    }
  })
})
