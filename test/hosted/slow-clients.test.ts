// Clients that are slow, send half a request, or never stop: one tenant's daemon and a host serve other clients meanwhile, and bound the
// memory that the slow clients cost.
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HOST } from '@service-fs/wire/http-cases'
import { sleep } from '../support/process.ts'
import { canMeasure } from './memory.ts'
import { exchange, RawClient } from './raw-client.ts'
import { MIB, Target } from './target.ts'

/** Below the 10 s after which the server closes a connection whose request does not arrive. */
const SOON_MS = 8000
const GET = `GET /v1/checkpoint HTTP/1.1\r\n${HOST}\r\n`
const why = canMeasure ? '' : ' (skipped: no /proc)'

describe.skipIf(!canMeasure).each([
  ['serve', () => Target.daemon()],
  ['host', () => Target.host()],
])(`%s${why}`, (_, start) => {
  let target: Target
  beforeAll(async () => {
    target = await start()
    await target.append('first', '"first"')
  })
  afterAll(() => target.dispose())

  const connected = (count: number, keep = true): Promise<RawClient[]> =>
    Promise.all(Array.from({ length: count }, () => new RawClient(target.port, keep).connected()))

  it('slow-loris: the server disconnects 500 clients whose heads never end', async () => {
    const cost = await target.cost(async () => {
      const clients = await connected(500)
      let isOver = false
      const all = Promise.all(clients.map(drip)).then(() => (isOver = true))
      expect(await target.othersWait(() => isOver)).toBeLessThan(5000)
      await all
      expect(clients.filter(({ isClosed }) => !isClosed)).toHaveLength(0)
      expect(new Set(clients.flatMap(({ statuses }) => statuses))).toEqual(new Set([408]))
    })
    atMost(cost, 150)
  })

  it('a body sent byte by byte delays no other client', async () => {
    const [client] = await connected(1)
    await client?.send(
      `POST /v1/append HTTP/1.1\r\n${HOST}X-Payload-ID: drip\r\nContent-Length: 1000\r\n\r\n`,
    )
    for (let i = 0; i < 10; i++) {
      await client?.send('x')
      expect((await target.append(`while-${i}`, '1')).status).toBe(200)
    }
    client?.socket.destroy()
    await sleep(100)
    expect((await target.fetch('/v1/records/drip')).status).toBe(404)
  })

  it('endless heads: 100 at once, each of 2 MB if the server allowed it', async () => {
    const cost = await target.cost(async () => {
      const clients = await connected(100)
      await Promise.all(clients.map(endless))
      expect(clients.filter(({ isClosed }) => !isClosed)).toHaveLength(0)
    })
    atMost(cost, 100)
  })

  it('half-closed: the server does not wait for a client that has ended its side', async () => {
    const post = `POST /v1/append HTTP/1.1\r\n${HOST}Content-Length: 9\r\n\r\nabc`
    for (const text of ['', 'GET /hea', post]) {
      const client = await new RawClient(target.port).connected()
      await client.send(text)
      client.socket.end()
      // The server would wait at least 10 s for the rest of a request.
      await client.closed(SOON_MS)
      expect([text, client.isClosed]).toEqual([text, true])
    }
  })

  it('half-open: 500 silent connections, 200 that vanish in the middle of a body', async () => {
    const before = await target.size()
    const cost = await target.cost(async () => {
      const silent = await connected(500)
      const leaving = await connected(200)
      for (const [i, client] of leaving.entries()) {
        await client.send(
          `POST /v1/append HTTP/1.1\r\n${HOST}X-Payload-ID: half-${i}\r\nContent-Length: 100000\r\n\r\nabc`,
        )
        client.socket.resetAndDestroy()
      }
      expect((await target.append('after-half', '1')).status).toBe(200)
      for (const client of silent) client.socket.destroy()
    })
    expect(await target.size()).toBe(before + 1)
    atMost(cost, 100)
  })

  it('slow readers: 60 clients that request 45 MiB each and read nothing', async () => {
    for (let i = 0; i < 3; i++) {
      const answer = await target.post(randomBytes(15 * MIB), { 'x-payload-id': `large-${i}` })
      expect(answer.status).toBe(200)
    }
    const cost = await target.cost(async () => {
      const clients = await connected(60, false)
      for (const client of clients) {
        client.socket.pause()
        await client.send(`GET /v1/entries?limit=1000 HTTP/1.1\r\n${HOST}\r\n`)
      }
      const started = performance.now()
      expect(await target.othersWait(() => performance.now() - started > 6000)).toBeLessThan(5000)
      expect((await target.append('while-they-read', '1')).status).toBe(200)
      for (const client of clients) client.socket.destroy()
      expect((await target.fetch('/v1/records/large-1')).status).toBe(200)
      await sleep(1000)
    })
    expect(cost['front'] ?? 0, 'MiB of the front').toBeLessThan(200)
    expect(cost['daemon'] ?? cost['tenant'], 'MiB').toBeLessThan(1000)
  })

  it('pipelined garbage: the server answers the requests and ignores the rest', async () => {
    const { statuses } = await exchange(
      target.port,
      `${GET}${GET}\0\0${randomBytes(30_000).toString('latin1')}`,
    )
    expect(statuses).toEqual([200, 200, 400])
  })

  it('endless pipelining: 50 connections of 50,000 requests', async () => {
    const cost = await target.cost(async () => {
      const clients = await connected(50, false)
      await Promise.all(clients.map(flood))
      expect(clients.filter(({ isClosed }) => !isClosed)).toHaveLength(0)
      expect((await target.append('after-the-flood', '1')).status).toBe(200)
    })
    atMost(cost, 250)
  })
})

function atMost(cost: Record<string, number>, mib: number): void {
  for (const [process, found] of Object.entries(cost))
    expect(found, `MiB of the ${process}`).toBeLessThan(mib)
}

async function endless(client: RawClient): Promise<void> {
  const line = Buffer.from(`X-Much: ${'y'.repeat(4000)}\r\n`)
  await client.send(`GET /healthz HTTP/1.1\r\n${HOST}`)
  for (let i = 0; i < 500 && !client.isClosed; i++) await client.send(line)
  await client.closed(SOON_MS)
}

async function flood(client: RawClient): Promise<void> {
  for (let i = 0; i < 50 && !client.isClosed; i++) await client.send(GET.repeat(1000))
  await client.closed(SOON_MS)
}

/** Sends a head line by line until the server closes the connection. */
async function drip(client: RawClient): Promise<void> {
  await client.send(`GET /healthz HTTP/1.1\r\n${HOST}`)
  for (let i = 0; i < 60 && !client.isClosed; i++) {
    await client.send(`X-${i}: slow\r\n`)
    await client.closed(500)
  }
}
