// Clients without credentials take every connection, from a few addresses, with requests that need no credentials. A client with
// credentials, even a slow one, gets its answer at once.
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { HOST } from '@service-fs/wire/http-cases'
import { serviceFsCommand } from '../support/daemon.ts'
import { sleep } from '../support/process.ts'
import { startServing } from '../support/serve.ts'

/** This limit of open files permits 128 connections; one address may have a quarter of them. */
const OPEN_FILES = 256
const ADDRESSES = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5', '127.0.0.6']
const SHARE = 32

let dir: string
let port: number
let token: string
let stop: () => Promise<void>
let crowd: Socket[]

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'strangers-'))
  const access = join(dir, 'access.json')
  await writeFile(access, JSON.stringify({ access: { tokens: join(dir, 'tokens.json') } }), { mode: 0o600 })
  const whose = ['--name', 'reader', '--tenant', 'test', '--roles', 'read,operate']
  const made = await serviceFsCommand(['token', 'add', '--config', access, ...whose])
  expect(made.code, made.stderr).toBe(0)
  token = made.stdout.trim()
  const server = await startServing(join(dir, 'root'), ['--access', access], OPEN_FILES)
  port = server.port
  stop = server.stop
  crowd = []
})
afterEach(async () => {
  for (const socket of crowd) socket.destroy()
  await stop()
  await rm(dir, { recursive: true, force: true })
})

function open(from: string): Socket {
  const socket = connect({ port, host: '127.0.0.1', localAddress: from })
  socket.on('error', () => undefined)
  return socket
}

/** Sends `text` over as many connections as the server allows, and waits until each is answered or closed. */
async function strangers(text: string): Promise<void> {
  const fresh = ADDRESSES.flatMap((from) => Array.from({ length: SHARE }, () => open(from)))
  crowd.push(...fresh)
  for (const socket of fresh) socket.write(text)
  const settled = fresh.map((socket) => Promise.race(['data', 'close'].map((name) => once(socket, name))))
  await Promise.race([Promise.allSettled(settled), sleep(5000)])
}

const head = (): string => `GET /v1/checkpoint HTTP/1.1\r\n${HOST}Authorization: Bearer ${token}\r\n`

/** The status of the answer, or undefined when none comes within five seconds. */
async function status(socket: Socket): Promise<string | undefined> {
  const answered = once(socket, 'data').then(
    ([chunk]) => /^HTTP\/1\.1 (\d+)/.exec(String(chunk))?.[1],
    () => undefined,
  )
  const none = Promise.race([new Promise((resolve) => void socket.once('close', resolve)), sleep(5000)]).then(
    () => undefined,
  )
  return Promise.race([answered, none])
}

it('connections that requested /healthz do not outlast a slow client that connects later', async () => {
  await strangers(`GET /healthz HTTP/1.1\r\n${HOST}\r\n`)
  const good = open('127.0.0.9')
  good.write(head())
  // Each of these evicts another connection.
  for (let i = 0; i < 20; i++) {
    crowd.push(open('127.0.0.7'))
    await sleep(20)
  }
  good.write('\r\n')
  expect(await status(good)).toBe('200')
  good.destroy()
})

it('rejected requests with endless bodies do not exclude other clients', async () => {
  await strangers(
    `POST /v1/append HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{`,
  )
  const good = open('127.0.0.9')
  good.write(`${head()}\r\n`)
  expect(await status(good)).toBe('200')
  good.destroy()
})
