// 10,000 mixed reads by many clients, and followers, with kill -9 of the daemon in between: the audit sub-ledger
// holds each answered read exactly once, with the subject and the range shown.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Read } from '@service-fs/client/reads'
import { expect, it } from 'vitest'
import { serviceFsCommand, startDaemon } from '../support/daemon.ts'
import { startHost } from '../support/host.ts'
import { sleep } from '../support/process.ts'
import { FollowingClient } from './followers.ts'
import { QUICK } from '../support/quick.ts'

const CLIENTS = 24
const FOLLOWERS = 3
const RECORDS = 700
const SUBJECTS = ['ann', 'bob', 'cleo']
/** The client that appends the records that the others read. */
const WRITER = 'dora'
const TENANT = 'test'

/** An answered read, and its expected entry in the audit sub-ledger. */
interface Answered {
  index: number
  read: Partial<Read>
}

/** A request, and the records that its answer shows. */
interface Question {
  method?: 'GET' | 'HEAD' | 'POST'
  target: string
  accept?: string
  body?: string
  shown: (answer: Response, body: Uint8Array) => Partial<Read>
}

/** The server that answers, and that the test kills. */
interface Served {
  readonly dir: string
  /** Sends a request to the tenant's current process. */
  fetch(path: string, init: RequestInit): Promise<Response>
  /** Kills the tenant's process with SIGKILL; resolves when the next process runs or is starting. */
  kill(): Promise<void>
  /** Stops cleanly and keeps the ledger. */
  stop(): Promise<void>
  /** Stops the server and removes its files. */
  dispose(): Promise<void>
}

/** Makes the tokens of the subjects, by name, in the file that the configuration names. */
async function makeTokens(config: string): Promise<Map<string, string>> {
  const tokens = new Map<string, string>()
  for (const name of [...SUBJECTS, WRITER]) {
    const whose = ['--name', name, '--tenant', TENANT, '--roles', 'append,examine']
    const made = await serviceFsCommand(['token', 'add', '--config', config, ...whose])
    expect(made.code, made.stderr).toBe(0)
    tokens.set(name, made.stdout.trim())
  }
  return tokens
}

async function serve(): Promise<{ served: Served; tokens: Map<string, string> }> {
  const dir = await mkdtemp(join(tmpdir(), 'counting-'))
  const access = join(dir, 'access.json')
  await writeFile(access, JSON.stringify({ access: { tokens: join(dir, 'tokens.json') } }), { mode: 0o600 })
  const tokens = await makeTokens(access)
  let daemon = await startDaemon({ moduleId: TENANT, args: ['--access', access] })
  const served: Served = {
    dir: daemon.dir,
    fetch: (path, init) => daemon.fetch(path, init),
    async kill() {
      await daemon.kill('SIGKILL')
      daemon = await daemon.restart()
    },
    async stop() {
      await daemon.kill()
    },
    async dispose() {
      await daemon.dispose()
      await rm(dir, { recursive: true, force: true })
    },
  }
  return { served, tokens }
}

/** A tenant behind the front of a host, which restarts the tenant by itself. */
async function behindFront(): Promise<{ served: Served; tokens: Map<string, string> }> {
  let tokens = new Map<string, string>()
  const host = await startHost({
    tenants: [TENANT, 'other'],
    config: { access: { tokens: 'tokens.json' } },
    async prepare(dir) {
      tokens = await makeTokens(join(dir, 'host.json'))
    },
  })
  const served: Served = {
    dir: join(host.root, TENANT),
    fetch: (path, init) => host.fetch(TENANT, path, init),
    async kill() {
      const pid = await host.pidOf(TENANT)
      if (pid !== undefined) process.kill(pid, 'SIGKILL')
    },
    async stop() {
      await host.kill()
    },
    dispose: () => host.dispose(),
  }
  return { served, tokens }
}

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

/** Returns a random request of any kind. */
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
    () => ({
      method: 'POST',
      target: 'v1/append',
      body: recordOf(cursor),
      shown: () => ({
        route: '/v1/append',
        outcome: 'duplicate',
        payload_id: idOf(cursor),
        cursor,
        entries: 1,
      }),
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

/** The record with this cursor, as the client appends it. */
function recordOf(cursor: number): string {
  const payload = { text: 'x'.repeat(((cursor - 1) * 37) % 300) }
  return JSON.stringify({ payload_id: idOf(cursor), payload })
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

/** Clients that read, and continue after a lost answer, until there are enough answers. */
class Load {
  /** By X-Foundry-Request-ID, each of which is used once. */
  readonly answered = new Map<string, Answered>()
  readonly unanswered = new Set<string>()
  readonly followers: readonly FollowingClient[] = Array.from(
    { length: FOLLOWERS },
    () => new FollowingClient(),
  )
  readonly #served: Served
  readonly #tokens: ReadonlyMap<string, string>
  readonly #enough: number
  #asked = 0

  constructor(served: Served, tokens: ReadonlyMap<string, string>, enough: number) {
    this.#served = served
    this.#tokens = tokens
    this.#enough = enough
  }

  async run(): Promise<void> {
    const client = async (number: number): Promise<void> => {
      const below = numbers(number)
      while (this.answered.size < this.#enough) {
        const isAnswered = await this.#read(question(below), SUBJECTS[number % SUBJECTS.length] ?? '')
        if (!isAnswered) await sleep(20)
      }
    }
    const following = Promise.all(this.followers.map((follower, i) => this.#follow(follower, i)))
    await Promise.race([
      Promise.all([this.#write(), ...Array.from({ length: CLIENTS }, (_, i) => client(i))]),
      following,
    ])
    for (const follower of this.followers) follower.stop()
    await following
  }

  #follow(follower: FollowingClient, number: number): Promise<void> {
    const headers = {
      'x-foundry-request-id': `follower-${number}`,
      authorization: `Bearer ${this.#tokens.get('bob')}`,
    }
    return follower.run((path, init) => this.#served.fetch(path, init), headers)
  }

  /** Whether there was an answer. */
  async #read({ method = 'GET', target, accept, body, shown }: Question, subject: string): Promise<boolean> {
    const id = `request-${this.#asked++}`
    const headers: Record<string, string> = {
      'x-foundry-request-id': id,
      authorization: `Bearer ${this.#tokens.get(subject)}`,
      ...(accept === undefined ? {} : { accept }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    }
    this.unanswered.add(id)
    let answer: Response
    let bytes: Uint8Array
    try {
      answer = await this.#served.fetch(target, { method, headers, ...(body === undefined ? {} : { body }) })
      bytes = new Uint8Array(await answer.arrayBuffer())
    } catch {
      return false
    }
    // For a moment, the tenant has no process.
    if (answer.status === 503) return false
    expect(answer.status, `${target} ${Buffer.from(bytes).toString().slice(0, 300)}`).toBe(200)
    const read = { subject: `token:${subject}`, method, bytes: bytes.length, ...shown(answer, bytes) }
    this.answered.set(id, { index: Number(answer.headers.get('x-audit-index')), read })
    this.unanswered.delete(id)
    return true
  }

  /** Appends one record after the other, so that the tree grows while it is read, until each follower has received some of them. */
  async #write(): Promise<void> {
    const isBehind = (): boolean => this.followers.some(({ cursor }) => cursor <= RECORDS)
    for (let i = 0; this.answered.size < this.#enough || isBehind(); i++) {
      await this.append({ 'x-payload-id': `more/${i}` }, 'more').catch(() => undefined)
      await sleep(20)
    }
  }

  async append(fields: Record<string, string>, body: string): Promise<Response> {
    const headers = { authorization: `Bearer ${this.#tokens.get(WRITER)}`, ...fields }
    const answer = await this.#served.fetch('v1/append', { method: 'POST', headers, body })
    await answer.arrayBuffer()
    return answer
  }
}

async function fill(load: Load): Promise<void> {
  const lines = Array.from({ length: RECORDS }, (_, i) => recordOf(i + 1))
  const answer = await load.append({ 'content-type': 'application/x-ndjson' }, lines.join('\n'))
  expect(answer.status).toBe(200)
}

interface Recorded {
  index: number
  read: Read
}

/**
 * The contents of the audit sub-ledger in a directory: the deliveries to followers by their index, all other reads by
 * X-Foundry-Request-ID.
 */
async function recordedIn(
  dir: string,
): Promise<{ reads: Map<string, Recorded>; batches: Map<number, Read> }> {
  const listed = await serviceFsCommand(['audit', 'ls', dir, '--json'])
  expect([listed.code, listed.stderr]).toEqual([0, ''])
  const reads = new Map<string, Recorded>()
  const batches = new Map<number, Read>()
  for (const line of listed.stdout.split('\n').slice(0, -1)) {
    const one = JSON.parse(line) as Recorded
    const { request_id: id, route } = one.read
    if (route === '/v1/follow') {
      batches.set(one.index, one.read)
      continue
    }
    expect(reads.has(id), `${id} stands twice`).toBe(false)
    reads.set(id, one)
  }
  return { reads, batches }
}

/** Every delivery to a follower is on record with its range, and each has a separate entry. */
function expectBatches({ followers }: Load, recorded: ReadonlyMap<number, Read>): number {
  let count = 0
  for (const [number, { batches, cursor }] of followers.entries()) {
    expect(cursor).toBeGreaterThan(RECORDS)
    expect(new Set(batches.map(({ index }) => index)).size).toBe(batches.length)
    for (const { index, ...shown } of batches)
      expect(recorded.get(index), `batch ${index}`).toMatchObject({
        subject: 'token:bob',
        request_id: `follower-${number}`,
        ...shown,
      })
    count += batches.length
  }
  return count
}

const PLANS = [
  { what: 'the daemon', start: serve, reads: QUICK ? 500 : 10_000, kills: QUICK ? 1 : 8 },
  { what: 'a tenant of a host', start: behindFront, reads: 3_000, kills: 4 },
]

it.each(QUICK ? PLANS.slice(0, 1) : PLANS)(
  'each of $reads answered reads is on record exactly once, after $kills kills of $what',
  async (plan) => {
    const started = performance.now()
    const { served, tokens } = await plan.start()
    try {
      const load = new Load(served, tokens, plan.reads)
      await fill(load)
      const running = load.run()
      for (let kill = 1; kill <= plan.kills; kill++) {
        const last = (plan.reads * kill) / (plan.kills + 1)
        while (load.answered.size < last) await Promise.race([sleep(2), running])
        await served.kill()
      }
      await running
      await served.stop()
      const { reads: recorded, batches } = await recordedIn(served.dir)
      const shown = expectBatches(load, batches)
      for (const [id, { index, read }] of load.answered) {
        const found = recorded.get(id)
        expect({ index: found?.index, read: found?.read }, id).toMatchObject({ index, read })
      }
      // Every other recorded read was requested, but its answer was lost.
      const others = [...recorded.keys()].filter((id) => !load.answered.has(id))
      for (const id of others) expect(load.unanswered.has(id), id).toBe(true)
      const verified = await serviceFsCommand(['audit', 'verify', served.dir, '--json'])
      expect(verified.stdout + verified.stderr).toContain('"ok":true')
      const seconds = ((performance.now() - started) / 1000).toFixed(1)
      console.log(
        `${load.answered.size} answered, ${recorded.size} recorded (${others.length} without an answer), ${shown} batches of followers, ${seconds} s`,
      )
    } finally {
      await served.dispose()
    }
  },
  300_000,
)
