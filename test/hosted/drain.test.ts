// SIGTERM: the daemon answers requests in progress, ends follow streams, accepts no more connections, and exits soon.
import { afterAll, describe, expect, it } from 'vitest'
import { HOST } from '@service-fs/wire/http-cases'
import { serviceFsCommand, startDaemon } from '../support/daemon.ts'
import { startHost } from '../support/host.ts'
import { RawClient } from './raw-client.ts'

interface Running {
  port: number
  dir: string
  /** Sends SIGTERM, and resolves with the exit status when the process has ended. */
  end(): Promise<number | null>
  dispose(): Promise<void>
}

async function daemon(): Promise<Running> {
  const one = await startDaemon()
  return { port: one.port, dir: one.dir, end: () => one.kill(), dispose: () => one.dispose() }
}

async function host(): Promise<Running> {
  const one = await startHost({ tenants: ['test'] })
  const port = Number(new URL(one.url).port)
  return { port, dir: `${one.root}/test`, end: () => one.kill(), dispose: () => one.dispose() }
}

const post = (id: string): string =>
  `POST /v1/append HTTP/1.1\r\n${HOST}X-Payload-ID: ${id}\r\nContent-Length: 10\r\n\r\n`

describe.each([
  ['serve', daemon],
  ['host', host],
])('%s', (_, start) => {
  let running: Running | undefined
  afterAll(() => running?.dispose())

  it('the server stops cleanly', async () => {
    running = await start()
    const { port } = running
    const connected = (): Promise<RawClient> => new RawClient(port).connected()

    const uploads = await Promise.all(Array.from({ length: 20 }, connected))
    for (const [i, upload] of uploads.entries()) await upload.send(`${post(`under-way-${i}`)}01234`)
    const follower = await connected()
    await follower.send(`GET /v1/follow HTTP/1.1\r\n${HOST}\r\n`)
    const idle = await connected()
    await idle.send(`GET /healthz HTTP/1.1\r\n${HOST}\r\n`)
    const silent = await connected()
    // The host starts the tenant's process for the first request.
    await expect.poll(() => follower.statuses).toEqual([200])
    await expect.poll(() => idle.statuses).toEqual([200])

    const started = performance.now()
    const ended = running.end()
    // The server closes connections without a request at once, long before their timeouts.
    await silent.closed(4000)
    await idle.closed(4000)
    expect([silent.isClosed, idle.isClosed]).toEqual([true, true])
    const late = new RawClient(port)
    await late.closed(4000)
    expect([late.isClosed, late.text]).toEqual([true, ''])
    for (const upload of uploads) await upload.send('56789')
    expect(await ended).toBe(0)
    expect(performance.now() - started).toBeLessThan(8000)

    for (const { statuses, text } of uploads) {
      expect(statuses).toEqual([200])
      expect(text).toMatch(/\r\nconnection: close\r\n/i)
    }
    // The last chunk: the body is complete.
    expect(follower.text).toMatch(/0\r\n\r\n$/)
    const verified = await serviceFsCommand(['verify', running.dir, '--json'])
    expect(verified.code).toBe(0)
    expect(JSON.parse(verified.stdout)).toMatchObject({ ok: true, size: 20 })
  })
})
