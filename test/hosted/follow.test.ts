// Following through a host's front: events pass at once, the tenant notices a client that disconnects, and a stop waits for no follower.

import { connect, type Socket } from 'node:net'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { afterEach, describe, expect, it } from 'vitest'
import { daemonBuilt, serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'
import { startHost, type Host } from '../support/host.ts'
import { sleep } from '../support/process.ts'

const TENANT = 'acme'

/** Below the 15 s after which a heartbeat would push out what the front holds back. */
const SOON_MS = 10_000

interface Follower {
  readonly socket: Socket
  text: string
  isOver: boolean
}

let host: Host | undefined
let daemon: Daemon | undefined
const sockets: Socket[] = []
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await host?.dispose()
  host = undefined
  await daemon?.dispose()
  daemon = undefined
})

function follow(url: string, query = ''): Follower {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  sockets.push(socket)
  const follower: Follower = { socket, text: '', isOver: false }
  socket.setEncoding('latin1')
  socket.on('data', (text: string) => (follower.text += text))
  socket.on('error', () => undefined)
  socket.on('close', () => (follower.isOver = true))
  socket.write(`GET /t/${TENANT}/v1/follow${query} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
  return follower
}

async function until(what: string, done: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> {
  for (const end = performance.now() + ms; !(await done()); await sleep(10))
    if (performance.now() > end) throw new Error(`${what}: not within ${ms} ms`)
}

async function append(to: Host, id: string, payload: unknown): Promise<void> {
  const answer = await to.fetch(TENANT, 'v1/append', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ payload_id: id, payload }),
  })
  expect(answer.status).toBe(200)
}

describe.skipIf(!daemonBuilt)('following through the front of a host', () => {
  it('sends each record to many followers as it arrives, and answers HEAD at once', async () => {
    host = await startHost({ tenants: [TENANT] })
    await append(host, 'first', 1)
    const head = await host.fetch(TENANT, 'v1/follow', { method: 'HEAD' })
    expect([head.status, head.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
    const { url } = host
    const followers = Array.from({ length: 50 }, () => follow(url))
    await until('all follow', () => followers.every(({ text }) => text.includes('"payload_id":"first"')))
    for (let i = 0; i < 5; i++) {
      await append(host, `r${i}`, i)
      await until(
        `r${i}`,
        () => followers.every(({ text }) => text.includes(`"payload_id":"r${i}"`)),
        SOON_MS,
      )
    }
    expect(followers[0]?.text).not.toMatch(/content-encoding|content-length/i)
  })

  it('frees the places of followers that disconnect', async () => {
    host = await startHost({ tenants: [TENANT] })
    const limit = (
      (await (await host.fetch(TENANT, 'v1/contract')).json()) as { limits: { followers: number } }
    ).limits.followers
    expect(limit).toBe(1024)
    const { url } = host
    for (let round = 0; round < 12; round++) {
      const followers = Array.from({ length: 100 }, () => follow(url))
      await until(`round ${round}`, () => followers.every(({ text }) => text.includes('retry')))
      for (const { socket } of followers) socket.destroy()
    }
    const last = follow(url)
    await until('there is a place', () => last.text.includes('retry'))
  })

  it('stops while clients follow, even if one does not read', async () => {
    host = await startHost({ tenants: [TENANT] })
    const [reader, stalled] = [follow(host.url), follow(host.url)]
    await until('both follow', () => reader.text.includes('retry') && stalled.text.includes('retry'))
    stalled.socket.pause()
    for (let i = 0; i < 12; i++) await append(host, `big ${i}`, 'x'.repeat(1_000_000))
    await until('the reader has it', () => reader.text.includes('"payload_id":"big 11"'))
    const started = performance.now()
    expect(await host.kill()).toBe(0)
    expect(performance.now() - started).toBeLessThan(8000)
    await until('the reader has ended', () => reader.isOver)
    expect(reader.text.slice(-40)).toMatch(/\r\n0\r\n\r\n$/)
  })
})

describe.skipIf(!daemonBuilt)('service-fs follow', () => {
  it('continues without a gap when the daemon is killed or stopped and restarted', async () => {
    const root = await mkdtemp(`${tmpdir()}/follow-`)
    try {
      daemon = await startDaemon({ root })
      const { port } = daemon
      const url = ['--url', `${daemon.url}t/test/`]
      const total = 60
      const followed = serviceFsCommand(['follow', ...url, '--json', '--limit', String(total)])
      for (let i = 1; i <= total; i++) {
        const answer = await daemon.fetch('v1/append', {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ payload_id: `r${i}`, payload: i % 20 === 0 ? 'x'.repeat(200_000) : i }),
        })
        expect(answer.status).toBe(200)
        if (i % 20 !== 7) continue
        await daemon.kill(i === 27 ? 'SIGTERM' : 'SIGKILL')
        daemon = await startDaemon({ root, port })
      }
      const { code, stdout, stderr } = await followed
      expect([code, stderr]).toEqual([0, ''])
      const ids = stdout
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { payload_id: string }).payload_id)
      expect(ids).toEqual(Array.from({ length: total }, (_, i) => `r${i + 1}`))
    } finally {
      await daemon?.dispose()
      daemon = undefined
      await rm(root, { recursive: true, force: true })
    }
  })
})
