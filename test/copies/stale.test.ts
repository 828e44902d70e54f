// An older copy of a ledger is put back beside keys that have signed more: the daemon must not continue it.
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { filesBelow } from '@service-fs/client/testing'
import { afterAll, expect, it } from 'vitest'
import { serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'

const work = await mkdtemp(join(tmpdir(), 'service-fs-stale-'))
afterAll(() => rm(work, { recursive: true, force: true }))

async function append(daemon: Daemon, id: string): Promise<Response> {
  const headers = { 'content-type': 'application/json' }
  return daemon.fetch('v1/append', {
    method: 'POST',
    headers,
    body: JSON.stringify({ payload_id: id, payload: 1 }),
  })
}

async function succeeds(...args: string[]): Promise<void> {
  const { code, stderr } = await serviceFsCommand(args)
  expect([code, stderr], args.join(' ')).toEqual([0, ''])
}

const sealed = async (dir: string): Promise<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(await filesBelow(dir)).filter(([path]) => !/^(?:audit|lock|tmp|cache)\b/.test(path)),
  )

it('the daemon continues a restored copy only if the copy has everything that its key has signed', async () => {
  let daemon = await startDaemon({ moduleId: 'acme' })
  try {
    for (const id of ['a', 'b', 'c']) expect((await append(daemon, id)).status).toBe(200)
    await daemon.kill()
    await succeeds('export', daemon.dir, '--out', join(work, 'old.tar'))
    daemon = await daemon.restart()
    expect((await append(daemon, 'd')).status).toBe(200)
    await daemon.kill()
    await succeeds('export', daemon.dir, '--out', join(work, 'new.tar'))

    // Only the ledger is old: the audit sub-ledger records the reads.
    await cp(join(daemon.dir, 'audit'), join(work, 'audit'), { recursive: true })
    await rm(daemon.dir, { recursive: true })
    await succeeds('restore', join(work, 'old.tar'), '--out', daemon.dir)
    await rm(join(daemon.dir, 'audit'), { recursive: true })
    await cp(join(work, 'audit'), join(daemon.dir, 'audit'), { recursive: true })
    const before = await sealed(daemon.dir)
    daemon = await daemon.restart()
    const refused = await append(daemon, 'e')
    expect([refused.status, await refused.json()]).toEqual([
      503,
      expect.objectContaining({ code: 'read-only' }),
    ])
    const ready = await daemon.fetch('readyz')
    expect([ready.status, await ready.text()]).toEqual([
      503,
      expect.stringContaining('4 entries were acknowledged, but only 3 were found'),
    ])
    expect((await daemon.fetch('v1/records/c')).status).toBe(200)
    expect(daemon.stderr()).toContain('the ledger is shorter than what was acknowledged')
    await daemon.kill()
    expect(await sealed(daemon.dir)).toEqual(before)

    // All of it is old: reads cannot be recorded either.
    await rm(daemon.dir, { recursive: true })
    await succeeds('restore', join(work, 'old.tar'), '--out', daemon.dir)
    daemon = await daemon.restart()
    expect((await append(daemon, 'e')).status).toBe(503)
    expect((await daemon.fetch('readyz')).status).toBe(503)
    await daemon.kill()

    await rm(daemon.dir, { recursive: true })
    await succeeds('restore', join(work, 'new.tar'), '--out', daemon.dir)
    daemon = await daemon.restart()
    expect((await append(daemon, 'e')).status).toBe(200)
  } finally {
    await daemon.dispose()
  }
})
