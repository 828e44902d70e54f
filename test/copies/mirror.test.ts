// A mirror of a running daemon that is killed again and again, and one that follows the daemon.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { filesBelow } from '@service-fs/client/testing'
import { Random } from '@service-fs/storage/random'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serviceFs, startDaemon, type Daemon } from '../support/daemon.ts'
import { collect, end, listen, run, sleep } from '../support/process.ts'
import { QUICK } from '../support/quick.ts'

const KILLS = QUICK ? 6 : 50
const SEED = 20261129
/** A round withholds the answer to one request: at the latest to the request with this number, counted from 1. */
const MOST_REQUESTS = 6

let work = ''
let daemon: Daemon
let vkey = ''
let next = 0
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'service-fs-mirror-'))
  daemon = await startDaemon()
  vkey = await daemon.vkey()
  await append(6000)
})
afterAll(async () => {
  await daemon.dispose()
  await rm(work, { recursive: true, force: true })
})

const at = (name: string): string => join(work, name)

async function append(count: number): Promise<void> {
  for (const last = next + count; next < last;) {
    const lines = []
    for (; next < last && lines.length < 1000; next++)
      lines.push(JSON.stringify({ payload_id: `r${next}`, payload: `content of ${next} `.repeat(9) }))
    const response = await daemon.fetch('v1/append', {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: `${lines.join('\n')}\n`,
    })
    expect(response.status).toBe(200)
  }
}

/** Starts a mirror into `copy`. */
function startMirror(source: string, ...options: string[]): ChildProcess {
  const args = [
    serviceFs,
    'mirror',
    source,
    at('copy'),
    '--module-id',
    daemon.moduleId,
    '--vkey',
    vkey,
    ...options,
  ]
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
}

async function succeeds(...args: string[]): Promise<void> {
  const { code, stderr } = await run(process.execPath, [serviceFs, ...args])
  expect([code, stderr], args.join(' ')).toEqual([0, ''])
}

/** Returns the size of the checkpoint of the copy; 0 without one. */
async function copiedSize(): Promise<number> {
  const text = await readFile(at('copy/checkpoint'), 'utf8').catch(() => '')
  return Number(text.split('\n')[1] ?? 0)
}

/** Passes requests on to the daemon, except one that it never answers. */
class Withholding {
  url = ''
  readonly #server = createServer((raw, out) => this.#pass(raw, out))
  #left = Infinity
  #withheld: () => void = () => undefined

  async listen(): Promise<void> {
    this.url = `http://127.0.0.1:${await listen(this.#server)}/`
  }

  /** Resolves when the request after the next `count` ones has arrived. */
  withhold(count: number): Promise<void> {
    this.#left = count
    return new Promise((resolve) => (this.#withheld = resolve))
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  #pass(raw: IncomingMessage, out: ServerResponse): void {
    if (this.#left-- === 0) {
      this.#withheld()
      return
    }
    const { method, headers } = raw
    const sent = request(new URL(raw.url ?? '', daemon.url), { method, headers }, (answer) => {
      out.writeHead(answer.statusCode ?? 500, answer.headers)
      // The mirror may be killed meanwhile.
      pipeline(answer, out).catch(() => undefined)
    })
    sent.on('error', () => out.destroy())
    pipeline(raw, sent).catch(() => undefined)
  }
}

/** The sealed files of a ledger, and of its audit sub-ledger, by their paths. */
async function sealed(dir: string): Promise<Record<string, string>> {
  const files = Object.entries(await filesBelow(dir))
  const others = /(?:^|\/)(?:tail\/.*|checkpoint|lock|(?:tmp|cache)\/.*)$/
  return Object.fromEntries(files.filter(([path]) => !others.test(path)))
}

/** A process starts for each kill, which takes seconds on a busy machine. */
const PATIENCE = { timeout: 900_000 }

describe('a mirror of a running daemon', PATIENCE, () => {
  it(`continues a mirror after each of ${KILLS} kills, and ends identical to the source`, async () => {
    const random = new Random(SEED)
    const source = new Withholding()
    await source.listen()
    try {
      for (let killed = 0; killed < KILLS; killed++) {
        // A mirror without an answer cannot end, however fast it is. It needs several requests for the records since the last round.
        const withheld = source.withhold(1 + random.below(MOST_REQUESTS))
        const child = startMirror(source.url, '--once')
        const exited = once(child, 'exit')
        await Promise.race([withheld, exited])
        // Meanwhile it may store the answers to other requests.
        if (killed % 2 === 1) await sleep(random.below(30))
        child.kill('SIGKILL')
        await exited
        expect(child.signalCode).toBe('SIGKILL')
        expect(await copiedSize()).toBeLessThan(next)
        await append(1 + random.below(700))
      }
    } finally {
      source.close()
    }
    await daemon.kill()
    await succeeds('mirror', daemon.dir, at('copy'), '--once', '--vkey', vkey)
    await succeeds('verify', at('copy'), '--vkey', vkey)
    expect(await sealed(at('copy'))).toEqual(await sealed(daemon.dir))
    await succeeds('export', daemon.dir, '--out', at('source.tar'))
    await succeeds('export', at('copy'), '--out', at('copy.tar'))
    expect((await run('cmp', [at('source.tar'), at('copy.tar')])).code).toBe(0)
    daemon = await daemon.restart()
  })

  it('mirrors a ledger over HTTP, through a restart, and from its directory while it is in use', async () => {
    const follower = startMirror(daemon.url, '--no-audit', '--json', '--interval', '2')
    const [stdout, stderr] = [
      collect(follower.stdout as NodeJS.ReadableStream),
      collect(follower.stderr as NodeJS.ReadableStream),
    ]
    const sizes = (): number[] =>
      stdout()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => (JSON.parse(line) as { size: number }).size)
    try {
      await append(300)
      await expect.poll(() => sizes().at(-1), { message: stderr() }).toBe(next)
      const port = Number(new URL(daemon.url).port)
      await daemon.kill()
      daemon = await startDaemon({ root: daemon.root, port })
      await append(300)
      await expect.poll(() => sizes().at(-1), { message: stderr() }).toBe(next)
    } finally {
      await end(follower, 'SIGTERM')
    }
    await append(300)
    await succeeds('mirror', daemon.dir, at('copy'), '--once', '--vkey', vkey)
    await succeeds('verify', at('copy'), '--vkey', vkey)
    const reads = await run(process.execPath, [serviceFs, 'audit', 'ls', daemon.dir])
    expect(reads.stdout).toContain('/tile/')
  })

  it('refuses another ledger', async () => {
    const before = await filesBelow(at('copy'))
    const other = await startDaemon()
    try {
      const mirrored = await run(process.execPath, [
        serviceFs,
        'mirror',
        other.url,
        at('copy'),
        '--once',
        '--module-id',
        other.moduleId,
        '--vkey',
        vkey,
      ])
      expect([mirrored.code, mirrored.stderr]).toEqual([1, expect.stringContaining('checkpoint: ')])
    } finally {
      await other.dispose()
    }
    expect(await filesBelow(at('copy'))).toEqual(before)
  })
})
