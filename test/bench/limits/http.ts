// HTTP without a ledger: the cost of a request over bare sockets, and with the daemon's server.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { startHttp, type HttpServer, type WireHttpOptions } from '@service-fs/http/http'
import { listen, sleep } from '../../support/process.ts'
import { type LimitRow, limitRows } from './limit.ts'

export const about =
  'Answers appends of 200 bytes from 64 clients without a ledger: a socket that answers any bytes, and the server of the daemon with every check.'

const CLIENTS = 64
const WARM_MS = 500
const MS = 1000
const BODY = JSON.stringify({ payload_id: 'limit-1', payload: 'x'.repeat(170) })
const REQUEST = `POST /v1/append HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: limit\r\nContent-Length: ${BODY.length}\r\nContent-Type: application/json\r\nX-Foundry-Module-ID: bench\r\nAccept-Encoding: gzip\r\n\r\n${BODY}`
/** As long as the receipt of an append. */
const RECEIPT = JSON.stringify({ cursor: 1, index: 0, checkpoint: 'x'.repeat(450) })

const OPTIONS = {
  wire: {
    routes: [],
    followers: 0,
    drain: () => undefined,
    refusal: () => undefined,
    bodyLimit: () => 2 ** 20,
    handle: async () => ({
      status: 200,
      headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
      body: RECEIPT,
      compressible: true,
    }),
  },
  accepts: (host: string) => host === '127.0.0.1',
  answered: () => undefined,
} as unknown as WireHttpOptions

interface Served {
  port: number
  stop(): Promise<unknown>
}

const SERVERS: Record<string, () => Promise<Served>> = {
  'a socket that answers any bytes': bareSocket,
  'the server of the daemon': async () => served(await startHttp({ host: '127.0.0.1', port: 0 }, OPTIONS)),
}

function served(server: HttpServer): Served {
  return { port: Number(new URL(server.url).port), stop: () => server.stop(100) }
}

async function bareSocket(): Promise<Served> {
  const answer = `HTTP/1.1 200 OK\r\ncontent-length: ${RECEIPT.length}\r\n\r\n${RECEIPT}`
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('data', () => socket.write(answer))
    socket.on('error', () => undefined)
  })
  return { port: await listen(server), stop: async () => server.close() }
}

/** Runs in a process of its own. Each answer arrives in one piece. */
const CLIENT = `
const { connect } = require('node:net')
const [port, clients, request] = process.argv.slice(1)
let answers = 0
for (let i = 0; i < Number(clients); i++) {
  const socket = connect(Number(port), '127.0.0.1', () => socket.write(request))
  socket.setNoDelay(true)
  socket.on('data', () => { answers += 1; socket.write(request) })
  socket.on('error', () => undefined)
}
process.on('message', () => process.send(answers))
`

export async function run(rounds: number): Promise<LimitRow[]> {
  const measures = Object.entries(SERVERS).map(([name, start]) => ({
    name,
    unit: 'µs of CPU',
    measure: () => microseconds(start),
  }))
  return limitRows(rounds, measures)
}

/** Returns the processor time of a request in this process. */
async function microseconds(start: () => Promise<Served>): Promise<number> {
  const server = await start()
  const client = spawn(process.execPath, ['-e', CLIENT, String(server.port), String(CLIENTS), REQUEST], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  try {
    await sleep(WARM_MS)
    const [before, cpu] = [await answersOf(client), process.cpuUsage()]
    await sleep(MS)
    const { user, system } = process.cpuUsage(cpu)
    return (user + system) / ((await answersOf(client)) - before)
  } finally {
    client.kill()
    await once(client, 'exit')
    await server.stop()
  }
}

async function answersOf(client: ChildProcess): Promise<number> {
  client.send('answers')
  const [answers]: unknown[] = await once(client, 'message')
  return Number(answers)
}
