// Tests the daemon's log: one line of JSON per event, without any text from clients.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Daemon, serviceFsCommand, startDaemon } from '../support/daemon.ts'

let dir = ''
let daemon: Daemon | undefined
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'fs-logs-'))
})
afterEach(async () => {
  await daemon?.dispose()
  await rm(dir, { recursive: true, force: true })
})

/** A marker that must appear in no log. */
const MARK = 'zq7-secret-mark'

it('the daemon logs its start, stop and failures, but neither records nor credentials', async () => {
  const access = join(dir, 'access.json')
  await writeFile(access, JSON.stringify({ access: { tokens: 'tokens.json' } }), { mode: 0o600 })
  const out = join(dir, 'token')
  const add = ['token', 'add', '--config', access, '--name', 'ci', '--tenant', 'test', '--out', out]
  expect((await serviceFsCommand([...add, '--roles', 'append,read'])).code).toBe(0)
  const token = (await readFile(out, 'utf8')).trim()
  daemon = await startDaemon({ root: join(dir, 'root'), args: ['--access', access] })
  const json = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const post = (headers: Record<string, string>, body: string): Promise<Response> =>
    daemon!.fetch('v1/append', { method: 'POST', headers, body })

  expect((await post(json, `{"payload_id":"a","payload":"${MARK}"}`)).status).toBe(200)
  expect((await daemon.fetch('v1/records/a', { headers: json })).status).toBe(200)
  expect((await post(json, `{"payload_id":"${MARK}`)).status).toBe(400)
  expect((await post({ ...json, authorization: `Bearer ${MARK}` }, '{}')).status).toBe(401)
  expect((await post({ ...json, authorization: `Basic ${MARK}` }, '{}')).status).toBe(401)
  expect((await daemon.fetch(`v1/records/${MARK}?since=1`, { headers: json })).status).toBe(400)
  expect((await daemon.fetch('metrics', { headers: { ...json, 'x-mark': MARK } })).status).toBe(403)
  await writeFile(join(dir, 'tokens.json'), `not JSON, but ${MARK}`)
  const running = daemon
  await expect.poll(() => running.stderr()).toContain('"level":"error"')
  expect(await daemon.kill()).toBe(0)

  const lines = daemon
    .stderr()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  for (const line of lines)
    expect(line).toMatchObject({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      level: expect.stringMatching(/^(?:info|warn|error)$/),
      name: 'tenant',
      tenant: 'test',
      message: expect.any(String),
    })
  const messages = lines.map(({ message }) => message)
  expect(messages).toEqual(expect.arrayContaining(['listening', 'stopping', 'stopped']))
  expect(lines.some(({ level }) => level === 'error')).toBe(true)
  expect(daemon.stderr()).not.toContain(MARK)
  expect(daemon.stderr()).not.toContain(token)
})
