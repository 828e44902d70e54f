import { entriesOf } from '@service-fs/format/entry'
import { afterEach, expect, it } from 'vitest'
import { appendAll, appendLimits, batches, type NewRecord } from './append.ts'
import { Connection } from './http.ts'
import { nativeHasher, sha256Hex } from '@service-fs/native/native'
import { startServer, type TestServer } from './testing.ts'

const cleanups: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const TIME = '2026-11-22T00:00:00.000Z'

/** A ledger that refuses the given ids. */
async function ledger(
  refuse: (id: string) => { status: number; code: string } | undefined,
): Promise<{ server: TestServer; connection: Connection; kept: string[] }> {
  const kept: string[] = []
  const server = await startServer((request, response, body) => {
    const lines = body.toString().trimEnd().split('\n')
    const sent = lines.map(
      (line) => JSON.parse(line) as { payload_id: string; type: string; payload_base64: string },
    )
    for (const { payload_id: id } of sent) {
      const problem = refuse(id)
      if (problem === undefined) continue
      response.writeHead(problem.status, { 'content-type': 'application/problem+json' })
      response.end(JSON.stringify({ ...problem, detail: `${id} is refused` }))
      return
    }
    const entries = sent.map(({ payload_id: id, type, payload_base64: base64 }) => {
      const made = entriesOf({ id, type, time: TIME, payload: Buffer.from(base64, 'base64') }, sha256Hex)
      const duplicate = kept.includes(id)
      if (!duplicate) kept.push(id)
      const cursor = kept.indexOf(id) + 1
      const leaf = nativeHasher.leaf(made[0] as Uint8Array)
      return {
        cursor,
        payload_id: id,
        index: cursor - 1,
        parts: made.length,
        leaf_hash: leaf,
        time: TIME,
        duplicate,
      }
    })
    const single = request.headers['content-type'] === 'application/json'
    response.end(
      JSON.stringify(single ? { ...entries[0], checkpoint: 'note' } : { entries, checkpoint: 'note' }),
    )
  })
  const connection = new Connection(server.url, { patience: 0 })
  cleanups.push(
    () => server.close(),
    () => connection.close(),
  )
  return { server, connection, kept }
}

async function* records(count: number, bytes = 3): AsyncGenerator<NewRecord> {
  for (let i = 0; i < count; i++)
    yield { id: `id-${i}`, type: 'text/plain', payload: Buffer.alloc(bytes, String(i)) }
}

it('groups records by count and bytes, and a larger record alone', async () => {
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

it('appends all records, several requests at once, and finds duplicates the second time', async () => {
  const { connection, kept, server } = await ledger(() => undefined)
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

it('skips refused records, and reports each with its reason', async () => {
  const problems = new Map([
    ['id-3', { status: 409, code: 'conflict' }],
    ['id-17', { status: 413, code: 'too-large' }],
  ])
  const { connection, kept } = await ledger((id) => problems.get(id))
  const refused: string[] = []
  await appendAll(connection, records(20), {
    refused: ({ id }, error) => void refused.push(`${id} ${error.code} ${error.message}`),
  })
  expect(kept).toHaveLength(18)
  expect(refused.sort()).toEqual(['id-17 too-large id-17 is refused', 'id-3 conflict id-3 is refused'])
})

it('stops when no record can be appended', async () => {
  const { connection, server } = await ledger(() => ({ status: 403, code: 'module-id-mismatch' }))
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

it('uses the limits of the contract when they are lower', async () => {
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
