// Drills with the exports of a running daemon: the records that they append, and the files that they leave unchanged.
import { cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { filesBelow } from '@service-fs/client/testing'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'
import type { Finished } from '../support/process.ts'

let work = ''
let daemon: Daemon
let vkey = ''
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'service-fs-drill-'))
  daemon = await startDaemon()
  vkey = await daemon.vkey()
  await append(600)
  await mkdir(at('exports'))
  await mkdir(at('scratch'))
  await succeeds('export', daemon.dir, '--out', at('exports/1.tar'))
  await append(100)
  await succeeds('export', daemon.dir, '--out', at('exports/2.tar'))
  await append(10)
})
afterAll(async () => {
  await daemon.dispose()
  await rm(work, { recursive: true, force: true })
})

const at = (name: string): string => join(work, name)

let next = 0
async function append(count: number): Promise<void> {
  const lines = Array.from({ length: count }, () =>
    JSON.stringify({ payload_id: `r${next++}`, payload: 'some text' }),
  )
  const headers = { 'content-type': 'application/x-ndjson' }
  const answer = await daemon.fetch('v1/append', { method: 'POST', headers, body: `${lines.join('\n')}\n` })
  expect(answer.status).toBe(200)
}

async function succeeds(...args: string[]): Promise<void> {
  const { code, stderr } = await serviceFsCommand(args)
  expect([code, stderr], args.join(' ')).toEqual([0, ''])
}

function drill(exports: string, ...options: string[]): Promise<Finished> {
  const ledger = ['--url', daemon.url, '--module-id', daemon.moduleId]
  return serviceFsCommand(['drill', exports, '--scratch', at('scratch'), ...ledger, ...options])
}

interface Printed {
  outcome: string
  reason?: string
  record: { id: string; cursor: number }
}

/** Returns the record of a drill as the ledger has it, with its proof verified. */
async function recorded({ record }: Printed): Promise<Record<string, unknown>> {
  const found = await daemon.fetch(`v1/records/${encodeURIComponent(record.id)}`)
  const { cursor, type } = (await found.json()) as { cursor: number; type: string }
  expect([cursor, type]).toEqual([record.cursor, 'application/vnd.service-fs.drill+json'])
  const ledger = ['--url', daemon.url, '--module-id', daemon.moduleId, '--vkey', vkey]
  const got = await serviceFsCommand(['get', '--id', record.id, ...ledger])
  expect([got.code, got.stderr]).toEqual([0, ''])
  return JSON.parse(got.stdout) as Record<string, unknown>
}

describe('a drill', () => {
  it('restores the newest export, verifies it, and records that it passed', async () => {
    const before = await filesBelow(at('exports'))
    const { code, stdout, stderr } = await drill(at('exports'), '--vkey', vkey, '--json')
    expect([code, stderr]).toEqual([0, ''])
    const { record, ...result } = JSON.parse(stdout) as Printed
    expect(await recorded({ record, ...result })).toEqual(result)
    expect(result).toMatchObject({
      outcome: 'passed',
      export: '2.tar',
      restored: { size: 700, entries: 700, records: 700, problems: 0 },
      audit: { problems: 0 },
      live: { size: 710 },
      durations: { restore: expect.any(Number), verify: expect.any(Number), compare: expect.any(Number) },
    })
    expect(await filesBelow(at('exports'))).toEqual(before)
    expect(await readdir(at('scratch'))).toEqual([])
    await succeeds('verify', daemon.dir, '--vkey', vkey)
  })

  it('accepts a directory to which export adds, or a mirror, as the newest export', async () => {
    await succeeds('export', at('exports/1.tar'), '--out', at('continued/acme'))
    await succeeds('export', daemon.dir, '--out', at('continued/acme'))
    await succeeds('mirror', daemon.dir, at('mirror'), '--once', '--vkey', vkey)
    for (const place of ['continued', 'mirror']) {
      const { code, stdout } = await drill(at(place), '--json')
      expect([code, (JSON.parse(stdout) as Printed).outcome], place).toEqual([0, 'passed'])
    }
  })
})

/** Makes an export the newest of the folder `bad`. */
async function newest(name: string): Promise<void> {
  const soon = new Date(Date.now() + 60_000)
  await utimes(at(`bad/${name}`), soon, soon)
}

describe('a failed drill', () => {
  let before: Record<string, string>
  beforeEach(async () => {
    await rm(at('bad'), { recursive: true, force: true })
    await cp(at('exports'), at('bad'), { recursive: true })
  })

  /** Expects that a drill of the folder `bad` fails, records the failure, changes no export and leaves nothing behind. */
  async function fails(reason: RegExp): Promise<void> {
    before = await filesBelow(at('bad'))
    const { code, stdout, stderr } = await drill(at('bad'), '--vkey', vkey, '--json')
    expect(stderr).toMatch(/^service-fs: the drill failed: /)
    expect(code).toBe(1)
    const { record, ...result } = JSON.parse(stdout) as Printed
    expect(result.outcome).toBe('failed')
    expect(result.reason).toMatch(reason)
    expect(await recorded({ record, ...result })).toEqual(result)
    expect(await filesBelow(at('bad'))).toEqual(before)
    expect(await readdir(at('scratch'))).toEqual([])
  }

  it('records a corrupt export, and leaves the good one alone', async () => {
    const bytes = await readFile(at('bad/2.tar'))
    const entry = bytes.indexOf('\n', bytes.indexOf('tile/entries/001.b64') + 1024) + 40
    bytes[entry] = bytes[entry] === 65 ? 66 : 65
    await writeFile(at('bad/3.tar'), bytes)
    await newest('3.tar')
    await fails(/tile\/entries\/00[01]\.b64/)
    await rm(at('bad/3.tar'))
    await newest('2.tar')
    expect((await drill(at('bad'), '--vkey', vkey)).code).toBe(0)
  })

  it('records a truncated export', async () => {
    await newest('2.tar')
    await truncate(at('bad/2.tar'), 40_000)
    await newest('2.tar')
    await fails(/2\.tar/)
  })

  it('records that there is no export', async () => {
    await rm(at('bad'), { recursive: true })
    await mkdir(at('bad'))
    await writeFile(at('bad/.3.tar.1a2b.part'), 'still being written')
    await fails(/expected an export, found none/)
  })

  it('records that the export is of another ledger', async () => {
    const other = await startDaemon()
    try {
      await succeeds('export', other.dir, '--out', at('bad/3.tar'))
    } finally {
      await other.dispose()
    }
    await newest('3.tar')
    await fails(/checkpoint/)
  })

  it('exits with 3 when the result of a drill cannot be recorded', async () => {
    const gone = ['--url', 'http://127.0.0.1:1', '--scratch', at('scratch')]
    const { code, stderr } = await serviceFsCommand(['drill', at('exports'), ...gone])
    expect([code, stderr]).toEqual([3, expect.stringContaining('service-fs: ')])
    const unused = await serviceFsCommand(['drill', at('exports'), '--url', daemon.url])
    expect([unused.code, unused.stderr]).toEqual([2, 'service-fs: expected --scratch\n'])
  })
})
