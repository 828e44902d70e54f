import { entriesOf } from '@service-fs/format/entry'
import { afterEach, expect, it } from 'vitest'
import { appendAll, appendBatch, appendLimits, batches, checkReceipt, type NewRecord } from './append.ts'
import { Connection } from './http.ts'
import { nativeHasher, sha256Hex } from '@service-fs/native/native'
import { startServer, type TestServer } from './testing.ts'

const cleanups: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const TIME = '2026-11-22T00:00:00.000Z'

interface Sent {
  id: string
  type: string
  payload: Buffer
}

/** Reads a framed batch in the format of docs/wire.md. */
function unframed(body: Buffer): Sent[] {
  const sent: Sent[] = []
  for (let at = 0; at < body.length;) {
    const [id, type, payload] = [body.readUInt16BE(at), body.readUInt16BE(at + 2), body.readUInt32BE(at + 4)]
    const start = at + 8
    at = start + id + type + payload
    sent.push({
      id: body.toString('utf8', start, start + id),
      type: body.toString('latin1', start + id, start + id + type),
      payload: body.subarray(start + id + type, at),
    })
    expect(at).toBeLessThanOrEqual(body.length)
  }
  return sent
}

function unlined(body: Buffer): Sent[] {
  return String(body)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { payload_id: string; type: string; payload_base64: string })
    .map(({ payload_id: id, type, payload_base64: base64 }) => ({
      id,
      type,
      payload: Buffer.from(base64, 'base64'),
    }))
}

const FRAMED = 'application/vnd.service-fs.batch'

interface Refusal {
  status: number
  code: string
  field?: string
}

interface TestLedger {
  server: TestServer
  connection: Connection
  /** The ids, in the order of the log. */
  kept: string[]
  /** The media types of the requests. */
  types: string[]
  /** Returns the largest number of requests that were open at the same time so far. */
  most(): number
}

interface LedgerOptions {
  refuse?: (id: string) => Refusal | undefined
  /** The response to a framed batch, if the server does not accept framed batches. */
  old?: Refusal
  /** Drops the connection of some requests, before or after the records are stored. */
  drop?: (request: number) => 'before' | 'after' | undefined
  /** Each request after the first waits until this many requests are open at the same time. */
  together?: number
}

/** A ledger that refuses some ids. */
async function ledger({ refuse, old, drop, together = 1 }: LedgerOptions = {}): Promise<TestLedger> {
  const kept: string[] = []
  const types: string[] = []
  let [open, most] = [0, 0]
  let meet: () => void
  const met = new Promise<void>((resolve) => (meet = resolve))
  const server = await startServer(async (request, response, body) => {
    const type = request.headers['content-type'] ?? ''
    types.push(type)
    const fail = (problem: Refusal, detail: string): void => {
      response.writeHead(problem.status, { 'content-type': 'application/problem+json' })
      response.end(JSON.stringify({ ...problem, detail }))
    }
    if (type === FRAMED && old !== undefined) return fail(old, 'Content-Type: expected application/json')
    most = Math.max(most, ++open)
    if (most >= together) meet()
    if (types.length > 1) await met
    await new Promise((resolve) => setTimeout(resolve, 5))
    open -= 1
    const dropped = drop?.(types.length)
    if (dropped === 'before') return void request.socket.destroy()
    const sent = type === FRAMED ? unframed(body) : unlined(body)
    for (const { id } of sent) {
      const problem = refuse?.(id)
      if (problem !== undefined) return fail(problem, `${id} is refused`)
    }
    const entries = sent.map((record) => {
      const { id } = record
      const made = entriesOf({ ...record, time: TIME }, sha256Hex)
      const duplicate = kept.includes(id)
      if (!duplicate) kept.push(id)
      const cursor = kept.indexOf(id) + 1
      const leaf_hash = nativeHasher.leaf(made[0] as Uint8Array)
      return {
        cursor,
        payload_id: id,
        index: cursor - 1,
        parts: made.length,
        leaf_hash,
        time: TIME,
        duplicate,
      }
    })
    if (dropped === 'after') return void request.socket.destroy()
    const single = type === 'application/json'
    response.end(
      JSON.stringify(single ? { ...entries[0], checkpoint: 'note' } : { entries, checkpoint: 'note' }),
    )
  })
  const connection = new Connection(server.url, { patience: 0, retries: 0 })
  cleanups.push(
    () => server.close(),
    () => connection.close(),
  )
  return { server, connection, kept, types, most: () => most }
}

async function* records(count: number, bytes = 3): AsyncGenerator<NewRecord> {
  for (let i = 0; i < count; i++)
    yield { id: `id-${i}`, type: 'text/plain', payload: Buffer.alloc(bytes, String(i)) }
}

it('batches groups records by count and bytes, and puts a larger record into a separate batch', async () => {
  const sizes: number[] = []
  for await (const batch of batches(records(10), { lines: 4, bytes: 1e6, payload: 1e6 }))
    sizes.push(batch.length)
  expect(sizes).toEqual([4, 4, 2])
  sizes.length = 0
  for await (const batch of batches(records(4, 3000), { lines: 100, bytes: 9000, payload: 1e6 }))
    sizes.push(batch.length)
  expect(sizes).toEqual([2, 2])
  sizes.length = 0
  for await (const batch of batches(records(3, 3000), { lines: 100, bytes: 10, payload: 1e6 }))
    sizes.push(batch.length)
  expect(sizes).toEqual([1, 1, 1])
})

it('appendAll appends all records, several requests at once, and finds duplicates the second time', async () => {
  const { connection, kept, server } = await ledger()
  const seen: boolean[] = []
  const limits = { lines: 7, bytes: 1e6, payload: 1e6 }
  const appended = (receipts: { duplicate: boolean }[]): void =>
    void seen.push(...receipts.map(({ duplicate }) => duplicate))
  await appendAll(connection, records(50), { limits, appended })
  expect(kept).toHaveLength(50)
  expect(seen).toEqual(Array.from({ length: 50 }, () => false))
  expect(server.asked).toHaveLength(8)
  await appendAll(connection, records(50), { limits, appended })
  expect(seen.filter(Boolean)).toHaveLength(50)
})

it('appendAll skips refused records, and reports each with its reason', async () => {
  const problems = new Map([
    ['id-3', { status: 409, code: 'conflict' }],
    ['id-17', { status: 413, code: 'too-large' }],
  ])
  const { connection, kept } = await ledger({ refuse: (id) => problems.get(id) })
  const refused: string[] = []
  await appendAll(connection, records(20), {
    refused: ({ id }, error) => void refused.push(`${id} ${error.code} ${error.message}`),
  })
  expect(kept).toHaveLength(18)
  expect(refused.sort()).toEqual(['id-17 too-large id-17 is refused', 'id-3 conflict id-3 is refused'])
})

it('appendAll stops when no record can be appended', async () => {
  const { connection, server } = await ledger({ refuse: () => ({ status: 403, code: 'module-id-mismatch' }) })
  const refused: string[] = []
  const options = {
    limits: { lines: 1, bytes: 1e6, payload: 1e6 },
    inFlight: 2,
    refused: ({ id }: NewRecord) => void refused.push(id),
  }
  await expect(appendAll(connection, records(500), options)).rejects.toMatchObject({
    code: 'module-id-mismatch',
  })
  expect(refused).toEqual([])
  expect(server.asked.length).toBeLessThan(6)
})

it('the limits of the contract apply when they are lower', async () => {
  const server = await startServer(
    (_, response) => void response.end('{"limits":{"payload_bytes":5,"append_lines":10,"append_bytes":1e9}}'),
  )
  const connection = new Connection(server.url)
  cleanups.push(
    () => server.close(),
    () => connection.close(),
  )
  expect(await appendLimits(connection)).toEqual({ lines: 10, bytes: 4 * 1024 * 1024, payload: 5 })
})

const SMALL = { lines: 7, bytes: 1e6, payload: 1e6 }

it('framed batches may have ids and payloads in any script', async () => {
  const { connection, types } = await ledger()
  const sent: NewRecord[] = [
    { id: 'é/😀', type: 'a/b; c="d"', payload: Buffer.of(0, 255, 10) },
    { id: '\ufeffx', type: 'inode/directory', payload: new Uint8Array() },
    { id: '漢'.repeat(85), type: 'application/json', payload: Buffer.alloc(100_000, 7) },
  ]
  const { entries } = await appendBatch(connection, sent)
  for (const [i, receipt] of entries.entries()) checkReceipt(receipt, sent[i] as NewRecord)
  const { entries: one } = await appendBatch(connection, sent.slice(1, 2))
  expect(one).toMatchObject([{ id: '\ufeffx', cursor: 2, duplicate: true }])
  expect(types).toEqual([FRAMED, FRAMED])
})

it.each([
  { status: 400, code: 'bad-request', field: 'Content-Type' },
  { status: 415, code: 'unsupported-media-type', field: 'Content-Type' },
])('the client sends JSON to a server that refuses framed batches with $status', async (old) => {
  const { connection, kept, types } = await ledger({ old })
  await appendAll(connection, records(8), { limits: SMALL })
  expect(kept).toHaveLength(8)
  expect(types).toEqual([FRAMED, 'application/x-ndjson', 'application/json'])
})

it('the client reports a record that is refused in a framed batch, and does not send JSON', async () => {
  const { connection, kept, types } = await ledger({
    refuse: (id) => (id === 'id-3' ? { status: 400, code: 'bad-request', field: 'type' } : undefined),
  })
  const refused: string[] = []
  await appendAll(connection, records(10), { refused: ({ id }) => void refused.push(id) })
  expect([kept.length, refused]).toEqual([9, ['id-3']])
  expect(new Set(types)).toEqual(new Set([FRAMED]))
})

it.each(['a\nb', '', '\ud800', 'a'.repeat(257)])(
  'the client refuses the id %j before it sends anything',
  async (id) => {
    const { connection, types } = await ledger()
    const record = { id, type: 'text/plain', payload: Buffer.from('x') }
    await expect(appendBatch(connection, [record])).rejects.toMatchObject({ code: 'bad-record' })
    expect(types).toEqual([])
  },
)

it('appendAll keeps the order on request, and otherwise has several requests in flight', async () => {
  const ids = Array.from({ length: 100 }, (_, i) => `id-${i}`)
  const ordered = await ledger()
  await appendAll(ordered.connection, records(100), { limits: SMALL, inOrder: true })
  expect([ordered.kept, ordered.most()]).toEqual([ids, 1])
  const parallel = await ledger({ together: 3 })
  await appendAll(parallel.connection, records(100), { limits: SMALL, inFlight: 3 })
  expect([new Set(parallel.kept), parallel.most()]).toEqual([new Set(ids), 3])
})

it('appendAll resumes after lost connections, and appends each record once', async () => {
  const { connection, kept } = await ledger({
    drop: (request) => (request % 4 === 2 ? 'before' : request % 4 === 3 ? 'after' : undefined),
  })
  const seen: string[] = []
  await appendAll(connection, records(60), {
    limits: SMALL,
    appended: (receipts) => void seen.push(...receipts.map(({ id }) => id)),
  })
  expect(kept).toHaveLength(60)
  expect(new Set(seen).size).toBe(60)
  expect(seen).toHaveLength(60)
})

it('appendAll gives up when the ledger was never reached, or remains unreachable', async () => {
  const never = await ledger({ drop: () => 'before' })
  await expect(appendAll(never.connection, records(3))).rejects.toMatchObject({ code: 'connection' })
  expect(never.types).toHaveLength(1)
  const lost = await ledger({ drop: (request) => (request > 1 ? 'before' : undefined) })
  const options = { limits: SMALL, patience: 0, inOrder: true }
  await expect(appendAll(lost.connection, records(30), options)).rejects.toMatchObject({ code: 'connection' })
  expect(lost.kept).toHaveLength(7)
})
