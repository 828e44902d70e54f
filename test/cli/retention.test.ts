// States duties to a real daemon by the commands, and compares the report over HTTP with the one from its files.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'
import type { Finished } from '../support/process.ts'

let dir = ''
let daemon: Daemon

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'retention-'))
  daemon = await startDaemon()
  await writeFile(join(dir, 'a.txt'), 'a')
  await writeFile(join(dir, 'b.json'), '{}')
})
afterAll(async () => {
  await daemon.dispose()
  await rm(dir, { recursive: true, force: true })
})

const command = (...args: string[]): Promise<Finished> => serviceFsCommand([...args, '--url', daemon.prefix])

async function stated(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await command('retention', ...args, '--reason', 'a test')
  expect(code, stderr).toBe(0)
  return stdout
}

async function reportOf(place: string): Promise<any[]> {
  const vkey = readFileSync(join(daemon.dir, 'keys/ed25519.vkey'), 'utf8').trim()
  const { code, stdout, stderr } = await serviceFsCommand([
    'retention',
    'report',
    place,
    '--at',
    '2031-01-01',
    '--json',
    '--vkey',
    vkey,
  ])
  expect(code, stderr).toBe(0)
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}

it('retention states duties, once when repeated, refuses to shorten them, and reports the same over HTTP and from the files', async () => {
  const append = ['append', join(dir, 'a.txt'), '--retain-until', '2030-06-01', '--json']
  for (const [appended, duplicates] of [
    [1, 0],
    [0, 1],
  ]) {
    const { code, stdout, stderr } = await command(...append)
    expect(code, stderr).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ appended, duplicates, refused: [] })
  }
  expect((await command('append', join(dir, 'b.json'))).code).toBe(0)
  expect((await command('append', join(dir, 'a.txt'), '--retain-until', '2031-06-01', '--json')).code).toBe(3)

  expect(await stated('policy', '--type', 'application/json', '--for', 'P50Y')).toMatch(/^stated: entry 2, /)
  await stated('hold', 'case-1', '--id', 'a.txt')
  await stated('extend', 'a.txt', '--until', '2032-01-01')
  await stated('hold', 'case-2', '--all')
  expect(await stated('lift', 'case-2')).toMatch(/^stated: entry 6, /)
  expect(await stated('lift', 'case-2')).toMatch(/^already stated: entry 6, /)
  const shorter = await command('retention', 'extend', 'a.txt', '--until', '2031-06-01', '--reason', 'x')
  expect(shorter.code).toBe(3)
  expect(shorter.stderr).toContain('until: expected a time after 2032-01-01T00:00:00.000Z')

  const [policy, hold, a, b, ...rest] = await reportOf(daemon.prefix)
  expect(policy).toEqual({ kind: 'policy', type: 'application/json', years: 50 })
  expect(hold).toMatchObject({
    kind: 'hold',
    hold: 'case-1',
    payload_id: 'a.txt',
    reason: 'a test',
    index: 3,
  })
  expect(a).toMatchObject({
    cursor: 1,
    payload_id: 'a.txt',
    until: '2032-01-01T00:00:00.000Z',
    by: 'extend',
    holds: ['case-1'],
  })
  expect(b).toMatchObject({ cursor: 2, payload_id: 'b.json', by: 'policy', holds: [] })
  expect(rest).toEqual([])
  expect(await reportOf(daemon.dir)).toEqual([policy, hold, a, b])

  const text = await serviceFsCommand(['retention', 'report', daemon.dir, '--at', '2031-01-01'])
  expect(text.stdout).toContain('2 records must be kept after 2031-01-01T00:00:00.000Z; 7 entries read')
  expect((await serviceFsCommand(['verify', daemon.dir])).code).toBe(0)
  const got = await command('get', '--id', 'a.txt', '--json')
  expect(JSON.parse(got.stdout)).toMatchObject({ retain_until: '2030-06-01T00:00:00.000Z', verified: true })
})
