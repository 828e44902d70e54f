// Tests a client that may append but not read, and tries to learn the records of others.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Read } from '@service-fs/client/reads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'

const GUESSES = 3000
const SECRET = 2345
/** More guesses than one subject may make in a minute. */
const AT_ONCE = 400
/** docs/wire.md, "Appending". */
const CONFLICTS_A_MINUTE = 300

let dir: string
let daemon: Daemon
let tokens: Map<string, string>

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'append-reads-'))
  const access = join(dir, 'access.json')
  await writeFile(access, JSON.stringify({ access: { tokens: join(dir, 'tokens.json') } }), { mode: 0o600 })
  tokens = new Map()
  for (const [name, roles] of Object.entries({ clinic: 'append', spy: 'append', reader: 'append,read' })) {
    const whose = ['--name', name, '--tenant', 'test', '--roles', roles]
    const made = await serviceFsCommand(['token', 'add', '--config', access, ...whose])
    expect(made.code, made.stderr).toBe(0)
    tokens.set(name, made.stdout.trim())
  }
  daemon = await startDaemon({ moduleId: 'test', args: ['--access', access] })
})
afterEach(async () => {
  await daemon.dispose()
  await rm(dir, { recursive: true, force: true })
})

interface Answered {
  status: number
  index: number | undefined
  json: any
}

async function append(who: string, ...records: object[]): Promise<Answered> {
  const [type, body] =
    records.length === 1
      ? ['application/json', JSON.stringify(records[0])]
      : ['application/x-ndjson', records.map((record) => JSON.stringify(record)).join('\n')]
  const headers = { authorization: `Bearer ${tokens.get(who)}`, 'content-type': type }
  const answer = await daemon.fetch('v1/append', { method: 'POST', headers, body })
  const index = answer.headers.get('x-audit-index')
  return {
    status: answer.status,
    index: index === null ? undefined : Number(index),
    json: await answer.json(),
  }
}

/** A subject's entries in the audit sub-ledger, after a clean stop. */
async function recorded(who: string): Promise<Map<number, Read>> {
  await daemon.kill()
  const listed = await serviceFsCommand(['audit', 'ls', daemon.dir, '--json', '--subject', `token:${who}`])
  expect([listed.code, listed.stderr]).toEqual([0, ''])
  const lines = listed.stdout.split('\n').slice(0, -1)
  const verified = await serviceFsCommand(['audit', 'verify', daemon.dir, '--json'])
  expect(verified.stdout + verified.stderr).toContain('"ok":true')
  return new Map(
    lines.map((line) => {
      const { index, read } = JSON.parse(line) as { index: number; read: Read }
      return [index, read]
    }),
  )
}

const diagnosis = (code: number): object => ({ payload_id: 'patient/7', payload: { code } })

/** Runs `guess` for each number, several at a time, until one succeeds; returns all answers. */
async function guessing(
  guess: (n: number) => Promise<Answered>,
  isFound: (one: Answered) => boolean,
): Promise<{ found: number | undefined; answers: Answered[] }> {
  const answers: Answered[] = []
  let next = 0
  let found: number | undefined
  const one = async (): Promise<void> => {
    while (found === undefined && next < GUESSES) {
      const n = next++
      const answered = await guess(n)
      answers.push(answered)
      if (isFound(answered)) found = n
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, one))
  return { found, answers }
}

describe('a client that may only append', () => {
  it('does not find a payload among 3,000 possible ones, and the audit records each answered guess', async () => {
    expect((await append('clinic', diagnosis(SECRET))).status).toBe(200)
    const started = Date.now()
    const { found, answers } = await guessing(
      (n) => append('spy', diagnosis(n)),
      ({ status }) => status === 200,
    )
    const minutes = (Date.now() - started) / 60_000
    expect(found).toBeUndefined()
    const told = answers.filter(({ status }) => status === 409)
    expect(told.length).toBeLessThan(CONFLICTS_A_MINUTE * (1 + minutes) + 1)
    expect(answers.filter(({ status }) => status === 429).length).toBe(GUESSES - told.length)
    const reads = await recorded('spy')
    expect(reads.size).toBe(told.length)
    for (const { index } of told) {
      expect(reads.get(index as number)).toMatchObject({
        route: '/v1/append',
        outcome: 'conflict',
        payload_id: 'patient/7',
        cursor: 1,
        records: 1,
      })
    }
  })

  it('does not find which of 3,000 identifiers is taken by sending batches that must fail', async () => {
    expect((await append('clinic', { payload_id: `patient/${SECRET}`, payload: 1 })).status).toBe(200)
    expect((await append('spy', { payload_id: 'own', payload: 1 })).status).toBe(200)
    const candidates = Array.from({ length: GUESSES }, (_, n) => ({ payload_id: `patient/${n}`, payload: 0 }))
    const answered = await append('spy', ...candidates, { payload_id: 'own', payload: 2 })
    expect(answered.status).toBe(409)
    expect(answered.json).not.toHaveProperty('cursor')
    expect(answered.json.detail).not.toContain(String(SECRET))
    const reads = await recorded('spy')
    expect(reads.get(answered.index as number)).toMatchObject({
      outcome: 'conflict',
      payload_id: `patient/${SECRET}`,
      records: GUESSES + 1,
    })
  })

  it('learns nothing more from identifiers that occur twice in a batch', async () => {
    await append('clinic', { payload_id: 'taken', payload: 1 })
    const twice = (id: string): Promise<Answered> =>
      append('spy', { payload_id: id, payload: 1 }, { payload_id: id, payload: 2 })
    const [taken, free] = [await twice('taken'), await twice('free')]
    expect([taken.status, free.status]).toEqual([409, 409])
    expect(taken.json.detail.replace('taken', 'free')).toBe(free.json.detail)
    expect(taken.json).not.toHaveProperty('cursor')
    expect((await recorded('spy')).size).toBe(0)
  })
})

it('the audit records a duplicate of another client’s record, and its receipt; it records no duplicate of the client’s own', async () => {
  const record = { payload_id: 'a', payload: { x: 1 } }
  const first = await append('clinic', record)
  const again = await append('clinic', record)
  expect([first.index, again.index, again.json.duplicate]).toEqual([undefined, undefined, true])
  const told = await append('spy', record)
  const headers = {
    authorization: `Bearer ${tokens.get('reader')}`,
    'content-type': 'application/json',
    accept: 'text/x.tlog-proof',
  }
  const receipt = await daemon.fetch('v1/append', { method: 'POST', headers, body: JSON.stringify(record) })
  const proof = await receipt.text()
  const own = { payload_id: 'b', payload: 1 }
  const batch = await append('spy', own, record, own)
  expect(batch.json.entries.map(({ duplicate }: { duplicate: boolean }) => duplicate)).toEqual([
    false,
    true,
    true,
  ])
  expect(await recorded('clinic')).toEqual(new Map())
  const entries = ['audit', 'ls', daemon.dir, '--json', '--payload-id', 'a']
  const listed = await serviceFsCommand(entries)
  expect(listed.code, listed.stderr).toBe(0)
  const reads = listed.stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as { index: number; read: Read })
  expect(
    reads.map(({ index, read }) => [
      index,
      read.subject,
      read.outcome,
      read['cursor'] ?? read['cursors'],
      read.entries,
    ]),
  ).toEqual([
    [told.index, 'token:spy', 'duplicate', 1, 1],
    [Number(receipt.headers.get('x-audit-index')), 'token:reader', 'duplicate', 1, 1],
    [batch.index, 'token:spy', 'duplicate', '1', 1],
  ])
  expect(reads[1]?.read.bytes).toBe(Buffer.byteLength(proof))
})
