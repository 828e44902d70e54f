import { afterEach, expect, it } from 'vitest'
import { Connection } from './http.ts'
import { canonicalJson, parseRecord, readRecords } from './read.ts'
import { startServer } from './testing.ts'

const cleanups: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** Five records of two entries each, in pages of three records. The connection breaks once during the second page. */
async function ledger(): Promise<Connection> {
  let broken = false
  const server = await startServer((request, response) => {
    const since = Number(/since=(\d+)/.exec(request.url ?? '')?.[1])
    const indexes = [0, 2, 4, 6, 8].filter((index) => index >= since).slice(0, 3)
    const lines = indexes.map(
      (index) =>
        JSON.stringify({
          cursor: index + 1,
          payload_id: `r${index}`,
          type: 't',
          time: 'now',
          payload: { b: 1, a: index },
        }) + '\n',
    )
    if (since > 0 && !broken) {
      broken = true
      response.write(lines[0], () => request.socket.destroy())
    } else response.end(lines.join(''))
  })
  const connection = new Connection(server.url)
  cleanups.push(
    () => server.close(),
    () => connection.close(),
  )
  return connection
}

it('readRecords reads page after page, and resumes after a broken connection', async () => {
  const connection = await ledger()
  const ids: string[] = []
  for await (const { id, payload } of readRecords(connection))
    ids.push(`${id} ${Buffer.from(payload).toString()}`)
  expect(ids).toEqual([0, 2, 4, 6, 8].map((i) => `r${i} {"a":${i},"b":1}`))
})

it('readRecords starts and stops at the given indexes', async () => {
  const connection = await ledger()
  const ids: string[] = []
  for await (const { id } of readRecords(connection, { since: 1, until: 6 })) ids.push(id)
  expect(ids).toEqual(['r2', 'r4'])
})

it('readRecords rejects a malformed record', () => {
  const good = { cursor: 1, payload_id: 'a', type: 't', time: 'now', payload_base64: 'QQ==' }
  expect(Buffer.from(parseRecord(good).payload).toString()).toBe('A')
  for (const bad of [
    null,
    [],
    {},
    { ...good, cursor: 0 },
    { ...good, payload: 1 },
    { ...good, payload_base64: 3 },
    { ...good, type: 1 },
  ]) {
    expect(() => parseRecord(bad)).toThrow(expect.objectContaining({ code: 'malformed' }))
  }
})

it('canonicalJson returns canonical JSON', () => {
  expect(canonicalJson({ ü: 1, b: [null, true, 1e21, 'x\n'], a: { z: 0, y: {} } })).toBe(
    '{"a":{"y":{},"z":0},"b":[null,true,1e+21,"x\\n"],"ü":1}',
  )
})
