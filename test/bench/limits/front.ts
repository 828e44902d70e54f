// The least cost of a process between the clients and a tenant.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { goBuild } from '../../support/go.ts'
import { end } from '../../support/process.ts'
import { workingTree } from '../builds.ts'
import { type Load, measure } from '../load.ts'
import { benchDir, binDir, checkpointSize, MODULE, type Server, startServiceFs } from '../servers.ts'
import { type LimitRow, limitRow } from './limit.ts'

export const about =
  'Measures a process in front of the daemon that only copies bytes between two sockets: it parses nothing, checks no credentials, and serves one tenant.'

/** The clients of the loads of the front. */
const LOAD: Load = { mode: 'single', clients: 60, seconds: 3, warmup: 1 }
const COPY = 'copy'

export async function run(rounds: number): Promise<LimitRow[]> {
  await goBuild(benchDir, binDir, ['./load'])
  const dir = await mkdtemp(join(tmpdir(), 'service-fs-limit-'))
  const figures: Record<'direct' | 'copied' | 'ratio', number[]> = { direct: [], copied: [], ratio: [] }
  try {
    for (let round = 0; round < rounds; round++) {
      const direct = await rateOf(() => startServiceFs(workingTree, { work: dir }))
      const copied = await rateOf(() => startCopied(dir))
      figures.direct.push(direct)
      figures.copied.push(copied)
      figures.ratio.push(copied / direct)
    }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
  return [
    limitRow('appends, no front', '/s', figures.direct),
    limitRow('appends, bytes copied', '/s', figures.copied),
    limitRow('bytes copied ÷ no front', '', figures.ratio),
  ]
}

async function rateOf(start: () => Promise<Server>): Promise<number> {
  const server = await start()
  try {
    return (await measure(server, LOAD)).value
  } finally {
    await server.dispose()
  }
}

/** Starts a daemon on a unix socket, and the process that copies to it. */
async function startCopied(dir: string): Promise<Server> {
  const [root, socket] = [join(dir, 'copied'), join(dir, 'socket')]
  const daemon = spawn(
    process.execPath,
    [
      workingTree.command,
      'serve',
      '--json',
      '--module-id',
      MODULE,
      '--root',
      root,
      '--listen',
      `unix:${socket}`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  await once(createInterface({ input: daemon.stdout }), 'line')
  const copier = spawn(process.execPath, [process.argv[1] ?? '', COPY, socket], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [url] = (await once(createInterface({ input: copier.stdout }), 'line')) as [string]
  return {
    target: 'service-fs',
    url,
    pid: daemon.pid ?? 0,
    size: () => checkpointSize(`${url}checkpoint`, { 'x-foundry-module-id': MODULE }),
    stop: () => end(daemon, 'SIGTERM'),
    async dispose() {
      await end(copier, 'SIGKILL')
      await end(daemon, 'SIGKILL')
      await rm(root, { recursive: true, force: true })
    },
  }
}

/** Copies the bytes of each connection to a separate connection to the socket, and back. */
function copyTo(path: string): void {
  const server = createServer({ noDelay: true }, (client) => {
    const tenant = connect(path)
    copy(client, tenant)
    copy(tenant, client)
  })
  server.listen(0, '127.0.0.1', () => {
    process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}/\n`)
  })
}

function copy(from: Socket, to: Socket): void {
  from.on('data', (bytes) => {
    if (!to.write(bytes)) from.pause()
  })
  to.on('drain', () => from.resume())
  from.on('error', () => to.destroy())
  from.on('close', () => to.destroy())
}

if (process.argv[2] === COPY) copyTo(process.argv[3] ?? '')
