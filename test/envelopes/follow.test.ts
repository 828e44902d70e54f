// A hundred followers of each envelope's daemon: the records they receive, the memory they cost, and a clean stop.

import { connect, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { daemonBuilt } from '../support/daemon.ts'
import { sleep } from '../support/process.ts'
import { bundleBuilt, startEnvelope, type Envelope, type EnvelopeDaemon } from './daemons.ts'
import { MODULE_ID } from './core.ts'
import { noPsdb } from './psdb.ts'

const FOLLOWERS = 100

/** The bytes of HTTP that one follower received. */
interface Follower {
  readonly socket: Socket
  text: string
  isOver: boolean
}

let daemon: EnvelopeDaemon | undefined
let followers: Follower[] = []
afterEach(async () => {
  for (const { socket } of followers) socket.destroy()
  followers = []
  await daemon?.dispose()
  daemon = undefined
})

function follow(url: string, headers = ''): Follower {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  const follower: Follower = { socket, text: '', isOver: false }
  followers.push(follower)
  socket.setEncoding('latin1')
  socket.on('data', (text: string) => (follower.text += text))
  socket.on('error', () => undefined)
  socket.on('close', () => (follower.isOver = true))
  socket.write(`GET /t/${MODULE_ID}/v1/follow HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`)
  return follower
}

async function until(what: string, done: () => boolean, ms = 20_000): Promise<void> {
  for (const end = performance.now() + ms; !done(); await sleep(5))
    if (performance.now() > end) throw new Error(`${what}: not within ${ms} ms`)
}

const idsOf = ({ text }: Follower): number[] =>
  [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id))

async function append(to: EnvelopeDaemon, id: string, payload: unknown): Promise<void> {
  const headers = { 'content-type': 'application/json', 'x-foundry-module-id': MODULE_ID }
  const body = Buffer.from(JSON.stringify({ payload_id: id, payload }))
  expect((await to.request('POST', '/v1/append', headers, body)).status).toBe(200)
}

async function auditSize(of: EnvelopeDaemon): Promise<number> {
  const headers = { 'x-foundry-module-id': MODULE_ID, accept: 'application/json' }
  const { body } = await of.request('GET', '/audit/v1/checkpoint', headers, Buffer.alloc(0))
  return (JSON.parse(Buffer.from(body).toString()) as { size: number }).size
}

function suite(envelope: Envelope): void {
  it('the server sends each of a hundred followers every record once, and records each delivery', async () => {
    daemon = await startEnvelope(envelope)
    const url = daemon.url()
    for (let i = 0; i < FOLLOWERS; i++) follow(url)
    await until('all follow', () => followers.every(({ text }) => text.includes('retry')))
    for (let i = 1; i <= 20; i++) {
      await append(daemon, `r${i}`, { i })
      // For some records, waits until all followers have received it before the next append; otherwise does not wait.
      if (i % 5 === 0) await until(`${i}`, () => followers.every((one) => idsOf(one).at(-1) === i))
    }
    const all = Array.from({ length: 20 }, (_, i) => i + 1)
    for (const follower of followers) expect(idsOf(follower)).toEqual(all)
    const batches = followers.flatMap(({ text }) => text.match(/^event: audit$/gm) ?? []).length
    expect(await auditSize(daemon)).toBe(FOLLOWERS + batches)
    const indexes = followers.flatMap(({ text }) =>
      [...text.matchAll(/^data: \{"index":(\d+),/gm)].map(([, index]) => Number(index)),
    )
    expect(new Set(indexes).size).toBe(batches)
  })

  it('the server ends their streams cleanly when it stops, and does not wait for followers that do not read', async () => {
    daemon = await startEnvelope(envelope)
    for (let i = 0; i < 20; i++) follow(daemon.url())
    await until('all follow', () => followers.every(({ text }) => text.includes('retry')))
    const stalled = followers.splice(0, 5)
    for (const { socket } of stalled) socket.pause()
    for (let i = 1; i <= 8; i++) await append(daemon, `big ${i}`, 'x'.repeat(1_000_000))
    await until('all have it', () => followers.every(({ text }) => text.includes('"payload_id":"big 8"')))
    const started = performance.now()
    await daemon.stop()
    expect(performance.now() - started).toBeLessThan(5000)
    await until('all are over', () => followers.every(({ isOver }) => isOver))
    for (const { text } of followers) expect(text.slice(-40)).toMatch(/retry: 1000\n\n\r\n0\r\n\r\n$/)
    for (const { socket } of stalled) socket.destroy()
    await daemon.launch()
    const again = follow(daemon.url(), 'Last-Event-ID: 6\r\n')
    await until('it goes on', () => again.text.includes('"payload_id":"big 8"'))
  })

  it('the server buffers little for followers that do not read', async () => {
    daemon = await startEnvelope(envelope)
    for (let i = 0; i < 50; i++) follow(daemon.url())
    await until('all follow', () => followers.every(({ text }) => text.includes('retry')))
    for (const { socket } of followers) socket.pause()
    for (let i = 1; i <= 10; i++) await append(daemon, `warm ${i}`, 'x'.repeat(1_000_000))
    const before = await daemon.residentBytes()
    for (let i = 1; i <= 50; i++) await append(daemon, `big ${i}`, 'x'.repeat(1_000_000))
    const grown = (await daemon.residentBytes()) - before
    // The unread bytes would add up to 50 × 50 MB.
    expect(grown / 2 ** 20).toBeLessThan(300)
  })
}

describe.skipIf(!daemonBuilt)('followers of Envelope A', () => suite('a'))
describe.skipIf(!daemonBuilt || !bundleBuilt || noPsdb !== undefined)('followers of Envelope B', () =>
  suite('b'),
)
