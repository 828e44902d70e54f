// HTTP servers that answer every request with the same bytes.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createServer as createNetServer, type Server } from 'node:net'
import { listen } from '../../support/process.ts'
import { bundleEntries, bundleText, WIDTH } from './bundles.ts'
import { type LimitRow, limitRows } from './limit.ts'

export const about =
  'Answers 64 clients, which are in another process, with constant bytes of the length of a tile and of a bundle: no routes, checks, files, metrics or audit entries.'

const MS = 1000
const TILE_BYTES = 32 * WIDTH

export async function run(rounds: number): Promise<LimitRow[]> {
  const entries = bundleEntries()
  const bundle = Buffer.alloc(
    entries.reduce((sum, { length }) => sum + 2 + length, 0),
    'x',
  )
  const servers: Record<string, () => Server> = {
    'node:http, a tile': () => overHttp(Buffer.alloc(TILE_BYTES, 'x')),
    'node:http, a bundle': () => overHttp(bundle),
    'node:net, a tile': () => overNet(Buffer.alloc(TILE_BYTES, 'x')),
    'node:net, a bundle': () => overNet(bundle),
    'node:net, the text of a bundle': () => overNet(bundleText(entries)),
  }
  const measures = Object.entries(servers).map(([name, make]) => ({
    name,
    unit: 'answers/CPU s',
    measure: () => measure(make()),
  }))
  return limitRows(rounds, measures)
}

function overHttp(body: Uint8Array): Server {
  return createServer((_, out) => {
    out.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': body.length })
    out.end(body)
  })
}

/** Answers each chunk that it receives. A client sends its next request only after the answer. */
function overNet(body: Uint8Array): Server {
  const head = `HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: ${body.length}\r\n\r\n`
  const whole = Buffer.concat([Buffer.from(head), body])
  return createNetServer({ noDelay: true }, (socket) => {
    socket.on('data', () => socket.write(whole))
    socket.on('error', () => socket.destroy())
  })
}

/** Returns the answers in a second of the server's CPU time. */
async function measure(server: Server): Promise<number> {
  const port = await listen(server)
  const client = spawn(process.execPath, ['-e', CLIENT, String(port), String(MS)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  client.stdout.setEncoding('utf8')
  await once(client.stdout, 'data')
  const start = process.cpuUsage()
  const [answers] = (await once(client.stdout, 'data')) as [string]
  const { user, system } = process.cpuUsage(start)
  client.kill()
  server.close()
  if ('closeAllConnections' in server) (server.closeAllConnections as () => void)()
  return (Number(answers) / (user + system)) * 1e6
}

/** 64 clients, each with one request at a time. Prints a line after a warm-up, and then the number of answers. */
const CLIENT = `
const [port, ms] = process.argv.slice(1).map(Number)
let answers = 0
for (let i = 0; i < 64; i++) {
  const socket = require('node:net').connect(port, '127.0.0.1')
  let left = 0
  const ask = () => socket.write('GET /tile/0/000 HTTP/1.1\\r\\nhost: localhost\\r\\n\\r\\n')
  socket.on('connect', ask)
  socket.on('error', () => process.exit(0))
  socket.on('data', (chunk) => {
    if (left === 0) {
      const text = chunk.toString('latin1', 0, 512)
      const end = text.indexOf('\\r\\n\\r\\n') + 4
      left = end + Number(/content-length: (\\d+)/i.exec(text)[1])
    }
    left -= chunk.length
    if (left > 0) return
    answers++
    ask()
  })
}
setTimeout(() => {
  answers = 0
  console.log('warm')
  setTimeout(() => console.log(answers), ms)
}, 300)
`
