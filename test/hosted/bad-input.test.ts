// Sends the bad input in each row of the wire protocol's table to one tenant's daemon and to a host; checks each answer, and that
// nothing is recorded. For full disks see ../crash/full-disk.test.ts and ./neighbours.test.ts, for slow clients
// ./slow-clients.test.ts.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ACCEPTED, HOST, MALFORMED, REFUSED } from '@service-fs/wire/http-cases'
import { canMeasure } from './memory.ts'
import { exchange, RawClient } from './raw-client.ts'
import { MIB, problemOf, Target } from './target.ts'

const BATCH = { 'content-type': 'application/x-ndjson' }

describe.each([
  ['serve', () => Target.daemon()],
  ['host', () => Target.host()],
])('%s', (_, start) => {
  let target: Target
  beforeAll(async () => {
    target = await start()
    await target.append('first', '"first"')
  })
  afterAll(() => target.dispose())

  describe('malformed JSON, unknown field, bad id, bad base64: 400 with the field and the reason', () => {
    it.each([
      ['{', undefined, 'JSON'],
      ['{"payload_id":"a","payload":1}}', undefined, 'JSON'],
      ['{"payload_id":"a","payload_id":"b","payload":1}', undefined, 'payload_id'],
      ['{"payload_id":"a","payload":1,"extra":1}', 'extra', 'extra'],
      ['{"payload":1}', 'payload_id', 'payload_id'],
      ['{"payload_id":"","payload":1}', 'payload_id', 'payload_id'],
      [`{"payload_id":"${'a'.repeat(257)}","payload":1}`, 'payload_id', '256'],
      ['{"payload_id":"a\\u0000b","payload":1}', 'payload_id', 'payload_id'],
      ['{"payload_id":7,"payload":1}', 'payload_id', 'payload_id'],
      ['{"payload_id":"a"}', 'payload', 'payload'],
      ['{"payload_id":"a","payload":1,"payload_base64":"AA=="}', undefined, 'payload'],
      ['{"payload_id":"a","payload_base64":"AB=="}', 'payload_base64', 'base64'],
      ['{"payload_id":"a","payload_base64":"A A="}', 'payload_base64', 'base64'],
      ['{"payload_id":"a","payload_base64":"AAA"}', 'payload_base64', 'base64'],
      ['{"payload_id":"a","payload":1,"type":"no type"}', 'type', 'type'],
      ['{"payload_id":"a","payload":"\\ud800"}', undefined, 'surrogate'],
      [`{"payload_id":"a","payload":${'['.repeat(200)}${']'.repeat(200)}}`, undefined, '128'],
    ])('%s', async (body, field, word) => {
      const found = await problemOf(await target.post(body, { 'content-type': 'application/json' }))
      expect([found.status, found.code]).toEqual([400, 'bad-request'])
      if (field !== undefined) expect(found.field).toBe(field)
      expect(found.detail).toContain(word)
    })

    it('a batch with a bad line: the answer names the line, and no record is appended', async () => {
      const before = await target.size()
      const body = '{"payload_id":"l1","payload":1}\n{"payload_id":"l2","payload":1,"x":1}\n'
      const found = await problemOf(await target.post(body, BATCH))
      expect(found).toMatchObject({ status: 400, line: 2, field: 'x' })
      expect(await target.size()).toBe(before)
    })

    it.each([undefined, 'x'.repeat(257), '\xff'])('raw bytes with the identifier %s', async (id) => {
      const type = { 'content-type': 'application/octet-stream' }
      const headers = id === undefined ? type : { ...type, 'x-payload-id': id }
      const found = await problemOf(await target.post(new Uint8Array(3), headers))
      expect([found.status, found.detail.includes('X-Payload-ID')]).toEqual([400, true])
    })
  })

  describe('a payload over the limit: 413 before it is read in full', () => {
    const head = `POST /v1/append HTTP/1.1\r\n${HOST}X-Payload-ID: big\r\n`

    it('refuses a payload over the limit at once, when Content-Length announces it', async () => {
      const client = await new RawClient(target.port).connected()
      await client.send(`${head}Content-Length: ${17 * MIB}\r\n\r\nthe first bytes of it`)
      await client.closed(3000)
      expect(client.statuses).toEqual([413])
      expect(client.text).toContain('"code":"too-large"')
    })

    it('refuses a chunked payload after it has exceeded the limit', async () => {
      const client = await new RawClient(target.port).connected()
      await client.send(`${head}Transfer-Encoding: chunked\r\n\r\n`)
      const chunk = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(MIB), Buffer.from('\r\n')])
      let sent = 0
      for (; sent < 200 && client.bytes === 0 && !client.isClosed; sent++) await client.send(chunk)
      await client.closed(3000)
      expect(client.statuses).toEqual([413])
      expect(sent).toBeLessThan(40)
    })

    it('a batch of too many lines', async () => {
      const lines = Array.from({ length: 4097 }, (_line, i) => `{"payload_id":"n${i}","payload":1}`)
      const found = await problemOf(await target.post(lines.join('\n'), BATCH))
      expect([found.status, found.code]).toEqual([413, 'too-large'])
      expect(found.detail).toContain('4096')
    })

    it('a body with too many JSON values', async () => {
      const found = await problemOf(await target.append('bomb', `[${'0,'.repeat(1_000_000)}0]`))
      expect([found.status, found.code]).toEqual([413, 'too-large'])
    })
  })

  it.skipIf(!canMeasure)(
    'too many waiting appends: 503 with Retry-After, and the refused appends are not recorded',
    async () => {
      const cost = await target.cost(async () => {
        const clients = await Promise.all(
          Array.from({ length: 12 }, () => new RawClient(target.port).connected()),
        )
        // The server reserves memory for a body when it reads the head, so all heads come before the bodies. Each client that it
        // refuses then must have its response first: while this process writes bodies, it reads no response, and the server
        // closes the connection before it has read the whole body.
        for (const client of clients) await client.send(LARGE_BATCH_HEAD)
        const refused = clients.length - Math.floor(BODY_ROOM / largeBatch(0).length)
        await expect.poll(() => clients.filter(isAnswered).length).toBeGreaterThanOrEqual(refused)
        await Promise.all(
          clients.map(async (client, n) => {
            if (!isAnswered(client)) await client.send(largeBatch(n))
          }),
        )
        await expect.poll(() => clients.every(isAnswered)).toBe(true)
        const statuses = clients.flatMap((client) => client.statuses)
        expect(statuses).toHaveLength(12)
        expect(new Set(statuses)).toEqual(new Set([200, 503]))
        for (const [n, status] of statuses.entries()) {
          const isRefused = status === 503
          if (isRefused) expect(clients[n]?.text).toMatch(/\r\nretry-after: 1\r\n[^]*"code":"busy"/i)
          for (const i of [0, 1]) {
            const record = await target.fetch(`/v1/records/${identifier(n, i)}`, { method: 'HEAD' })
            expect([n, i, record.status]).toEqual([n, i, isRefused ? 404 : 200])
          }
          clients[n]?.socket.destroy()
        }
      })
      expect(cost['front'] ?? 0).toBeLessThan(200)
      expect(cost['daemon'] ?? cost['tenant']).toBeLessThan(1200)
    },
  )

  it('size or index beyond the tree: 404 for tiles, 400 for proofs, naming the current size', async () => {
    const size = await target.size()
    for (const path of ['/tile/0/999', '/tile/entries/999', '/tile/7/000', '/tile/9/000'])
      expect([path, (await problemOf(await target.fetch(path))).status]).toEqual([path, 404])
    for (const path of [
      `/v1/proof/inclusion?index=${size}`,
      `/v1/proof/inclusion?index=0&size=${size + 1}`,
      `/v1/proof/consistency?from=1&to=${size + 1}`,
    ])
      expect([path, await problemOf(await target.fetch(path))]).toMatchObject([
        path,
        { status: 400, code: 'range', size },
      ])
    for (const path of ['/v1/proof/inclusion?index=-1', '/v1/entries?since=1e3', '/v1/entries?limit=x'])
      expect((await problemOf(await target.fetch(path))).status).toBe(400)
  })

  it('oversized headers: 431, one long field or many', async () => {
    for (const fields of [`X-Long: ${'x'.repeat(64_000)}\r\n`, 'X-Many: bbbbbbbb\r\n'.repeat(4000)]) {
      const got = await exchange(target.port, `GET /healthz HTTP/1.1\r\n${HOST}${fields}\r\n`)
      expect(got.statuses).toEqual([431])
      expect(got.text).toContain('"code":"headers-too-large"')
    }
  })

  it.concurrent.each([...MALFORMED.map(([what, text]) => [what, 400, text] as const), ...REFUSED])(
    'not HTTP/1.1, %s: %i, and the bytes after it are not a request',
    async (_what, status, text) => {
      const behind = `POST /v1/append HTTP/1.1\r\n${HOST}X-Payload-ID: smuggled\r\nContent-Length: 1\r\n\r\nx`
      const { statuses, text: got } = await exchange(target.port, text + behind)
      expect(statuses).toEqual([status])
      expect(got).toMatch(/\r\nconnection: close\r\n/i)
    },
  )

  it.each(ACCEPTED)('HTTP/1.1, %s', async (_what, text) => {
    const last = `GET /healthz HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`
    expect((await exchange(target.port, text + last)).statuses).toEqual([200, 200])
  })

  it('no request was smuggled', async () => {
    for (const id of ['smuggled', 'refused'])
      expect((await target.fetch(`/v1/records/${id}`)).status).toBe(404)
  })
})

/** Whether the client has received a whole response. */
const isAnswered = ({ text }: RawClient): boolean => /\r\n\r\n\{.*\}$/s.test(text)

/** The most memory that a server reserves for bodies (MEMORY in packages/http/src/http.ts). */
const BODY_ROOM = 256 * MIB

const ZEROS = Buffer.alloc(12 * MIB).toString('base64')

/** Two records of 12 MiB. */
function largeBatch(n: number): string {
  return [0, 1].map((i) => JSON.stringify({ payload_id: identifier(n, i), payload_base64: ZEROS })).join('\n')
}

/** The identifier of a record of a large batch. All have the same length. */
const identifier = (n: number, i: number): string => `w${String(n).padStart(2, '0')}-${i}`

const LARGE_BATCH_HEAD = `POST /v1/append HTTP/1.1\r\n${HOST}Content-Type: application/x-ndjson\r\nContent-Length: ${largeBatch(0).length}\r\n\r\n`
