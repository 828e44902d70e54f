// 10,000 mixed reads of many clients, with kill -9 of the daemon in between: each read that was answered is in the audit sub-ledger
// exactly once, with who asked and with the range that was shown.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Read } from '@service-fs/client/reads'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'
import { sleep } from '../support/process.ts'

const READS = 10_000
const KILLS = 8
const CLIENTS = 24
const RECORDS = 700
const SUBJECTS = ['ann', 'bob', 'cleo']

/** A read that was answered: what it has to say in the audit sub-ledger. */
interface Answered {
  index: number
  read: Partial<Read>
}

/** A question, and what an answer to it shows. */
interface Question {
  method?: 'GET' | 'HEAD' | 'POST'
  target: string
  accept?: string
  body?: string
  shown: (answer: Response, body: Uint8Array) => Partial<Read>
}

let dir = ''
let access = ''
const tokens = new Map<string, string>()

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'counting-'))
  access = join(dir, 'access.json')
  await writeFile(access, JSON.stringify({ access: { tokens: join(dir, 'tokens.json') } }), { mode: 0o600 })
  for (const name of SUBJECTS) {
    const roles = ['--tenant', 'test', '--roles', 'append,examine']
    const made = await serviceFsCommand(['token', 'add', '--config', access, '--name', name, ...roles])
    expect(made.code, made.stderr).toBe(0)
    tokens.set(name, made.stdout.trim())
  }
})
afterAll(() => rm(dir, { recursive: true, force: true }))

/** A generator of whole numbers below a limit, the same in each run (mulberry32). */
function numbers(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (((mixed ^ (mixed >>> 14)) >>> 0) % 2 ** 31) % limit
  }
}

const jsonOf = (body: Uint8Array): any => JSON.parse(Buffer.from(body).toString())
const sizeOf = (note: string): number => Number(note.split('\n')[1])

/** One question of any kind. */
function question(below: (limit: number) => number): Question {
  const cursor = 1 + below(RECORDS)
  const since = below(RECORDS)
  const limit = 1 + below(40)
  const ranged = (answer: Response, next: unknown, entries: number): Partial<Read> => ({
    since,
    limit,
    next_cursor: Number(next),
    entries,
    ...(answer.url.includes('/audit/') ? { route: '/audit/v1/entries' } : { route: '/v1/entries' }),
  })
  const kinds: (() => Question)[] = [
    () => ({
      target: `v1/entries?since=${since}&limit=${limit}`,
      shown: (answer, body) => ranged(answer, jsonOf(body).next_cursor, jsonOf(body).entries.length),
    }),
    () => ({
      target: `v1/entries?since=${since}&limit=${limit}`,
      accept: 'application/x-ndjson',
      shown: (answer, body) =>
        ranged(
          answer,
          answer.headers.get('x-next-cursor'),
          Buffer.from(body).toString().split('\n').length - 1,
        ),
    }),
    () => ({
      target: `audit/v1/entries?since=${since}&limit=${limit}`,
      shown: (answer, body) => ranged(answer, jsonOf(body).next_cursor, jsonOf(body).entries.length),
    }),
    () => ({
      target: `v1/entries/${cursor}`,
      shown: () => ({ route: '/v1/entries/{cursor}', cursor, entries: 1 }),
    }),
    () => ({
      target: `v1/records/${encodeURIComponent(idOf(cursor))}`,
      shown: () => ({ route: '/v1/records/{payload_id}', payload_id: idOf(cursor), cursor, entries: 1 }),
    }),
    () => ({
      target: `v1/entries/${cursor}/proof`,
      shown: () => ({ route: '/v1/entries/{cursor}/proof', cursor, entries: 0 }),
    }),
    () => ({
      target: `v1/proof/inclusion?index=${cursor - 1}&size=${RECORDS}`,
      shown: () => ({ route: '/v1/proof/inclusion', index: cursor - 1, size: RECORDS, entries: 0 }),
    }),
    () => ({
      target: `v1/proof/consistency?from=${cursor}`,
      shown: (_, body) => ({ route: '/v1/proof/consistency', from: cursor, to: jsonOf(body).to, entries: 0 }),
    }),
    () => ({
      target: 'checkpoint',
      shown: (_, body) => ({ route: '/checkpoint', size: sizeOf(Buffer.from(body).toString()), entries: 0 }),
    }),
    () => tile(`tile/0/00${below(2)}`, 0),
    () => tile(`tile/entries/00${below(2)}`, 256),
    () => tile(`tile/entries/002.p/${1 + (cursor % 100)}`, 1 + (cursor % 100)),
    () => ({
      method: 'HEAD',
      target: `v1/entries/${cursor}`,
      shown: () => ({ route: '/v1/entries/{cursor}', method: 'HEAD', cursor, entries: 0, bytes: 0 }),
    }),
    () => tool('ledger.record', { cursor }, () => ({ route: '/v1/entries/{cursor}', cursor, entries: 1 })),
    () =>
      tool('ledger.entries', { since, limit }, (text) => {
        const { next_cursor: next, entries } = JSON.parse(text) as { next_cursor: number; entries: unknown[] }
        return { route: '/v1/entries', since, limit, next_cursor: next, entries: entries.length }
      }),
  ]
  return (kinds[below(kinds.length)] as () => Question)()
}

function idOf(cursor: number): string {
  return `papers/${cursor}`
}

function tile(path: string, entries: number): Question {
  return { target: path, shown: () => ({ route: '/tile/{path...}', tile: path, entries }) }
}

function tool(name: string, args: object, shown: (text: string) => Partial<Read>): Question {
  const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args } }
  return {
    method: 'POST',
    target: 'mcp',
    accept: 'application/json, text/event-stream',
    body: JSON.stringify(message),
    shown: (_, body) => {
      const { text } = jsonOf(body).result.content[0] as { text: string }
      return { ...shown(text), method: 'GET', via: 'mcp', bytes: Buffer.byteLength(text) }
    },
  }
}

/** Clients that read until the daemon is gone, or there are enough answers. */
class Load {
  /** By X-Foundry-Request-ID, each of which is used once. */
  readonly answered = new Map<string, Answered>()
  readonly unanswered = new Set<string>()
  #asked = 0

  async run(daemon: Daemon, until: number): Promise<void> {
    const client = async (seed: number): Promise<void> => {
      const below = numbers(seed)
      while (this.answered.size < until && (await this.#read(daemon, question(below), seed)));
    }
    await Promise.all(Array.from({ length: CLIENTS }, (_, i) => client(this.#asked * CLIENTS + i)))
  }

  /** Whether the daemon answered. */
  async #read(
    daemon: Daemon,
    { method = 'GET', target, accept, body, shown }: Question,
    seed: number,
  ): Promise<boolean> {
    const id = `request-${this.#asked++}`
    const subject = SUBJECTS[seed % SUBJECTS.length] ?? ''
    const headers: Record<string, string> = {
      'x-foundry-request-id': id,
      authorization: `Bearer ${tokens.get(subject)}`,
      ...(accept === undefined ? {} : { accept }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    }
    this.unanswered.add(id)
    let answer: Response
    let bytes: Uint8Array
    try {
      answer = await daemon.fetch(target, { method, headers, ...(body === undefined ? {} : { body }) })
      bytes = new Uint8Array(await answer.arrayBuffer())
    } catch {
      return false
    }
    expect(answer.status, `${target} ${Buffer.from(bytes).toString().slice(0, 300)}`).toBe(200)
    const read = { subject: `token:${subject}`, method, bytes: bytes.length, ...shown(answer, bytes) }
    this.answered.set(id, { index: Number(answer.headers.get('x-audit-index')), read })
    this.unanswered.delete(id)
    return true
  }
}

/** Appends one record after the other until the daemon is gone, so that the tree grows while it is read. */
async function write(daemon: Daemon, isEnough: () => boolean): Promise<void> {
  const headers = { authorization: `Bearer ${tokens.get('ann')}`, 'x-payload-id': '' }
  try {
    for (let i = 0; !isEnough(); i++) {
      headers['x-payload-id'] = `more/${daemon.port}/${i}`
      await (await daemon.fetch('v1/append', { method: 'POST', headers, body: 'more' })).arrayBuffer()
      await sleep(20)
    }
  } catch {
    // The daemon was killed.
  }
}

async function fill(daemon: Daemon): Promise<void> {
  const lines = Array.from({ length: RECORDS }, (_, i) =>
    JSON.stringify({ payload_id: idOf(i + 1), payload: { text: 'x'.repeat((i * 37) % 300) } }),
  )
  const headers = { authorization: `Bearer ${tokens.get('ann')}`, 'content-type': 'application/x-ndjson' }
  const answer = await daemon.fetch('v1/append', { method: 'POST', headers, body: lines.join('\n') })
  expect(answer.status).toBe(200)
}

interface Recorded {
  index: number
  read: Read
}

it(`has each of ${READS} answered reads exactly once, after ${KILLS} kills`, async () => {
  const started = performance.now()
  const load = new Load()
  let daemon = await startDaemon({ args: ['--access', access] })
  try {
    await fill(daemon)
    for (let kill = 1; kill <= KILLS; kill++) {
      const last = Math.floor((READS * kill) / (KILLS + 1))
      const running = Promise.all([load.run(daemon, Number.MAX_SAFE_INTEGER), write(daemon, () => false)])
      while (load.answered.size < last) await sleep(2)
      await daemon.kill('SIGKILL')
      await running
      daemon = await daemon.restart()
    }
    const isEnough = (): boolean => load.answered.size >= READS
    await Promise.all([load.run(daemon, READS), write(daemon, isEnough)])
    await daemon.kill()

    const listed = await serviceFsCommand(['audit', 'ls', daemon.dir, '--json'])
    expect([listed.code, listed.stderr]).toEqual([0, ''])
    const recorded = new Map<string, Recorded>()
    for (const line of listed.stdout.split('\n').slice(0, -1)) {
      const one = JSON.parse(line) as Recorded
      expect(recorded.has(one.read.request_id), `${one.read.request_id} stands twice`).toBe(false)
      recorded.set(one.read.request_id, one)
    }
    for (const [id, { index, read }] of load.answered) {
      const found = recorded.get(id)
      expect({ index: found?.index, read: found?.read }, id).toMatchObject({ index, read })
    }
    // What else is on record was asked, and its answer lost with the daemon.
    const others = [...recorded.keys()].filter((id) => !load.answered.has(id))
    for (const id of others) expect(load.unanswered.has(id), id).toBe(true)
    const verified = await serviceFsCommand(['audit', 'verify', daemon.dir, '--json'])
    expect(verified.stdout + verified.stderr).toContain('"ok":true')
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    console.log(
      `${load.answered.size} answered, ${recorded.size} recorded (${others.length} without an answer), ${KILLS} kills, ${seconds} s`,
    )
  } finally {
    await daemon.dispose()
  }
}, 300_000)
