// One address opens as many connections as it can: clients at other addresses, and at the same one, still get answers, from one tenant's
// daemon, from a host, and over TLS. The addresses are 127.0.0.1, 127.0.0.2 and so on; the files that this process may open bound the
// number of connections.
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HOST } from '@service-fs/wire/http-cases'
import { startHost } from '../support/host.ts'
import { sleep } from '../support/process.ts'
import { makeCertificate, startServing } from '../support/serve.ts'

interface Server {
  port: number
  tls: boolean
  dispose(): Promise<void>
  log(): string
  metrics(): Promise<string>
}

/** The server's limit of open files, lower than the number of connections. */
const OPEN_FILES = 1024
const CROWD = 4300

let dir = ''
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crowd-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

async function daemon(tls: boolean): Promise<Server> {
  const root = await mkdtemp(join(dir, 'root-'))
  const one = await startServing(root, tls ? ['--access', await accessWithTls()] : [], OPEN_FILES)
  return {
    port: one.port,
    tls,
    dispose: one.stop,
    log: one.stderr,
    metrics: async () => bodyOf(await ask(one.port, tls, '127.0.0.9', 'GET /metrics')),
  }
}

/** A loopback address needs no credentials. */
async function accessWithTls(): Promise<string> {
  const file = join(dir, 'access.json')
  await writeFile(file, JSON.stringify({ access: {}, tls: makeCertificate(dir) }), { mode: 0o600 })
  return file
}

async function host(): Promise<Server> {
  const one = await startHost({ tenants: ['test'] })
  const port = Number(new URL(one.url).port)
  return {
    port,
    tls: false,
    dispose: () => one.dispose(),
    log: () => one.stderr(),
    // Without a tenant, the front returns its own metrics and those of all tenants.
    metrics: async () => bodyOf(await ask(port, false, '127.0.0.9', 'GET /metrics', 'Host: localhost\r\n')),
  }
}

describe.each([
  ['serve', () => daemon(false), CROWD],
  ['serve with TLS', () => daemon(true), CROWD],
  // Its front may open 16,384 files.
  ['host', host, 9000],
])('%s', (_name, start, size) => {
  let server: Server
  const crowd: Socket[] = []
  beforeAll(async () => {
    server = await start()
  })
  afterAll(async () => {
    for (const socket of crowd) socket.destroy()
    await server.dispose()
  })

  it('the server answers others while one address holds thousands of bare connections', async () => {
    for (let i = 0; i < size; i += 100) await gather(crowd, server.port, 100)
    const got: string[] = []
    for (let round = 0; round < 5; round++)
      for (const from of ['127.0.0.2', '127.0.0.1']) {
        void gather(crowd, server.port, 100)
        got.push(await ask(server.port, server.tls, from, 'GET /v1/checkpoint'))
      }
    expect(got.map((text) => /^HTTP\/1\.1 (\d+)/.exec(text)?.[1])).toEqual(got.map(() => '200'))
    const metrics = await server.metrics()
    const most = valueOf(metrics, 'service_fs_connections_max')
    expect(most).toBeGreaterThan(100)
    expect(most).toBeLessThan(server.tls || size === CROWD ? OPEN_FILES : 16_384)
    expect(valueOf(metrics, 'service_fs_connections{.*state="silent"')).toBeLessThanOrEqual(most)
    expect(valueOf(metrics, 'service_fs_connections_ended_total{.*why="address"')).toBeGreaterThan(1000)
  })

  it('the server logs the burst in one line, and evicts silent connections', async () => {
    await expect.poll(() => crowd.filter(({ destroyed }) => !destroyed).length).toBe(0)
    const lines = server
      .log()
      .split('\n')
      .filter((line) => line.includes('"127.0.0.1"'))
    expect(lines).toHaveLength(1)
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 'warn', address: '127.0.0.1' })
  })
})

async function gather(crowd: Socket[], port: number, count: number): Promise<void> {
  const sockets = Array.from({ length: count }, () => connect({ port, host: '127.0.0.1' }))
  for (const socket of sockets) socket.on('error', () => undefined).resume()
  crowd.push(...sockets)
  const settled = sockets.map((socket) =>
    Promise.race(['connect', 'close'].map((name) => once(socket, name))),
  )
  await Promise.race([Promise.allSettled(settled), sleep(2000)])
}

/** The requests answered within five seconds. */
async function ask(
  port: number,
  tls: boolean,
  from: string,
  line: string,
  fields: string = HOST,
): Promise<string> {
  const place = { port, host: '127.0.0.1', localAddress: from }
  const socket = tls ? connectTls({ ...place, rejectUnauthorized: false }) : connect(place)
  let text = ''
  socket.on('error', () => undefined)
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
  socket.write(`${line} HTTP/1.1\r\n${fields}Connection: close\r\n\r\n`)
  await Promise.race([new Promise((resolve) => void socket.once('close', resolve)), sleep(5000)])
  socket.destroy()
  return text
}

function bodyOf(text: string): string {
  return text.slice(text.indexOf('\r\n\r\n') + 4)
}

/** Returns the largest value among the series whose name and labels begin so. */
function valueOf(metrics: string, series: string): number {
  const values = [...metrics.matchAll(new RegExp(`^${series}\\S* (\\d+)$`, 'gm'))].map(([, value]) =>
    Number(value),
  )
  return Math.max(...values)
}
