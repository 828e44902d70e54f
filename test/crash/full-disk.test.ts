// A disk that is full: what was acknowledged stays, appends and reads that cannot be recorded are refused, room makes it go on.
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'

const mount = (...args: string[]): boolean => spawnSync('mount', args).status === 0
const root = mkdtempSync(join(tmpdir(), 'service-fs-full-'))
const canMount = process.getuid?.() === 0 && mount('-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', root)
if (!canMount) rmSync(root, { recursive: true })
const why = canMount ? '' : ' (skipped: not root, or no tmpfs can be mounted)'

describe.skipIf(!canMount)(`a daemon on a full disk${why}`, () => {
  let daemon: Daemon
  beforeAll(async () => {
    daemon = await startDaemon({ root })
  })
  afterAll(async () => {
    await daemon.dispose()
    spawnSync('umount', [root])
    rmSync(root, { recursive: true, force: true })
  })

  const append = (id: string, body: Uint8Array<ArrayBuffer>): Promise<Response> =>
    daemon.fetch('/v1/append', {
      method: 'POST',
      headers: { 'x-payload-id': id, 'content-type': 'application/octet-stream' },
      body,
    })

  it('answers 507, keeps what it acknowledged, and goes on when there is room', async () => {
    const payload = new Uint8Array(randomBytes(150_000))
    let kept = 0
    let answer = await append('b0', payload)
    while (answer.status === 200 && kept < 60) answer = await append(`b${++kept}`, payload)
    expect(kept).toBeGreaterThan(10)
    expect(answer.status).toBe(507)
    expect(await answer.json()).toMatchObject({ code: 'full', status: 507 })
    expect((await append('later', payload)).status).toBe(507)
    expect((await daemon.fetch('/healthz')).status).toBe(200)
    const ready = await daemon.fetch('/readyz')
    expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining('ENOSPC')])

    await daemon.kill()
    expect(mount('-o', 'remount,size=60m', root)).toBe(true)
    daemon = await daemon.restart()
    for (const i of [0, kept - 1]) {
      const { payload_base64 } = (await (await daemon.fetch(`/v1/records/b${i}`)).json()) as {
        payload_base64: string
      }
      expect(Buffer.from(payload_base64, 'base64').equals(payload)).toBe(true)
    }
    expect((await append(`b${kept}`, payload)).status).toBe(200)
    await daemon.kill()
    const { code, stdout, stderr } = await serviceFsCommand(['verify', daemon.dir])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toContain(`${kept + 1} records`)
  })
})
