// Tests a full disk: the daemon keeps acknowledged records, rejects appends, rejects reads that it cannot record, and resumes when
// there is room.
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'

const mount = (...args: string[]): boolean => spawnSync('mount', args).status === 0

/**
 * A root directory of ledgers with a small separate file system mounted inside it; `why` is the reason if it could not be mounted.
 */
function smallDisk(below: string, size: string): { root: string; at: string; why: string } {
  const root = mkdtempSync(join(tmpdir(), 'service-fs-full-'))
  const at = join(root, below)
  mkdirSync(at, { recursive: true, mode: 0o700 })
  const isThere = process.getuid?.() === 0 && mount('-t', 'tmpfs', '-o', `size=${size},mode=700`, 'tmpfs', at)
  if (!isThere) rmSync(root, { recursive: true })
  return { root, at, why: isThere ? '' : ' (skipped: not root, or no tmpfs can be mounted)' }
}

function unmount({ root, at }: { root: string; at: string }): void {
  spawnSync('umount', [at])
  rmSync(root, { recursive: true, force: true })
}

function append(daemon: Daemon, id: string, body: Uint8Array<ArrayBuffer>): Promise<Response> {
  return daemon.fetch('/v1/append', {
    method: 'POST',
    headers: { 'x-payload-id': id, 'content-type': 'application/octet-stream' },
    body,
  })
}

const disk = smallDisk('', '6m')
describe.skipIf(disk.why !== '')(`a daemon on a full disk${disk.why}`, () => {
  let daemon: Daemon
  beforeAll(async () => {
    daemon = await startDaemon({ root: disk.root })
  })
  afterAll(async () => {
    await daemon.dispose()
    unmount(disk)
  })

  it('answers 507, keeps acknowledged records, and resumes when there is room', async () => {
    const payload = new Uint8Array(randomBytes(150_000))
    let kept = 0
    let answer = await append(daemon, 'b0', payload)
    while (answer.status === 200 && kept < 60) answer = await append(daemon, `b${++kept}`, payload)
    expect(kept).toBeGreaterThan(10)
    expect(answer.status).toBe(507)
    expect(await answer.json()).toMatchObject({ code: 'full', status: 507 })
    expect((await append(daemon, 'later', payload)).status).toBe(507)
    expect((await daemon.fetch('/healthz')).status).toBe(200)
    const ready = await daemon.fetch('/readyz')
    expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining('ENOSPC')])

    await daemon.kill()
    expect(mount('-o', 'remount,size=60m', disk.at)).toBe(true)
    daemon = await daemon.restart()
    for (const i of [0, kept - 1]) {
      const { payload_base64 } = (await (await daemon.fetch(`/v1/records/b${i}`)).json()) as {
        payload_base64: string
      }
      expect(Buffer.from(payload_base64, 'base64').equals(payload)).toBe(true)
    }
    expect((await append(daemon, `b${kept}`, payload)).status).toBe(200)
    await daemon.kill()
    const { code, stdout, stderr } = await serviceFsCommand(['verify', daemon.dir])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toContain(`${kept + 1} records`)
  })
})

const auditDisk = smallDisk('test/audit', '2m')

describe.skipIf(auditDisk.why !== '')(`a daemon whose audit's disk is full${auditDisk.why}`, () => {
  let daemon: Daemon
  beforeAll(async () => {
    daemon = await startDaemon({ root: auditDisk.root })
  })
  afterAll(async () => {
    await daemon.dispose()
    unmount(auditDisk)
  })

  /** The `X-Audit-Index` of each answered read. */
  const shown: number[] = []

  /** Reads until one is refused. */
  async function readOn(): Promise<Response> {
    for (let round = 0; round < 5_000; round++) {
      const answers = await Promise.all(Array.from({ length: 8 }, () => daemon.fetch('/v1/entries/1')))
      const answered = answers.filter(({ status }) => status === 200)
      for (const answer of answered) shown.push(Number(answer.headers.get('x-audit-index')))
      await Promise.all(answered.map((answer) => answer.arrayBuffer()))
      const refused = answers.find(({ status }) => status !== 200)
      if (refused !== undefined) return refused
    }
    throw new Error('the disk of the audit does not get full')
  }

  it('refuses each read with 507, over MCP too, and keeps appending', async () => {
    const payload = new Uint8Array(randomBytes(100))
    expect((await append(daemon, 'first', payload)).status).toBe(200)
    const refused = await readOn()
    expect([refused.status, refused.headers.get('x-audit-index')]).toEqual([507, null])
    expect(await refused.json()).toMatchObject({ code: 'full', status: 507 })

    for (const path of [
      '/v1/entries',
      '/v1/records/first',
      '/checkpoint',
      '/tile/0/000.p/1',
      '/audit/v1/checkpoint',
    ]) {
      const answer = await daemon.fetch(path)
      expect([path, answer.status, await answer.json()]).toMatchObject([path, 507, { code: 'full' }])
    }
    expect((await daemon.fetch('/v1/entries/1', { method: 'HEAD' })).status).toBe(507)
    const called = await daemon.fetch('/mcp', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
      body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ledger.record","arguments":{"cursor":1}}}',
    })
    const { result } = (await called.json()) as { result: { isError: boolean; content: { text: string }[] } }
    expect([result.isError, JSON.parse(result.content[0]?.text ?? '')]).toMatchObject([
      true,
      { code: 'full' },
    ])

    for (let i = 0; i < 50; i++) expect((await append(daemon, `later-${i}`, payload)).status).toBe(200)
    const ready = await daemon.fetch('/readyz')
    expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining('audit')])
  })

  it('serves its records again when there is room, and has recorded every read it answered', async () => {
    await daemon.kill()
    expect(mount('-o', 'remount,size=60m', auditDisk.at)).toBe(true)
    daemon = await daemon.restart()
    const answer = await daemon.fetch('/v1/records/later-49')
    expect([answer.status, (await answer.json()) as object]).toMatchObject([200, { cursor: 51 }])
    await daemon.kill()
    const { code, stdout, stderr } = await serviceFsCommand(['verify', daemon.dir])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toContain('51 records')
    const listed = await serviceFsCommand(['audit', 'ls', daemon.dir, '--cursor', '1', '--json'])
    expect([listed.code, listed.stderr]).toEqual([0, ''])
    const lines = listed.stdout.split('\n').slice(0, -1)
    const recorded = new Set(lines.map((line) => (JSON.parse(line) as { index: number }).index))
    expect(shown.length).toBeGreaterThan(100)
    expect(shown.filter((index) => !recorded.has(index))).toEqual([])
  })
})
