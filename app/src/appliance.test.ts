import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, cp, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const bin = fileURLToPath(new URL('../bin/service-fs.js', import.meta.url))
const isBuilt = [
  '../dist/main.js',
  '../../envelopes/sel4/bundle/dist/bundle.js',
  '../../envelopes/sel4/engine-host/dist/psdb-host',
].every((path) => existsSync(new URL(path, import.meta.url)))

let dir: string
let disk: string
const children: ChildProcess[] = []
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'appliance-'))
  disk = join(dir, 'acme.img')
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await rm(dir, { recursive: true, force: true })
})

interface Running {
  child: ChildProcess
  err(): string
}

function serve(args: string[], env: Record<string, string> = {}): Running {
  const all = ['serve', '--envelope', 'b', '--json', '--listen', '127.0.0.1:0', ...args]
  const child = spawn(process.execPath, [bin, ...all], { env: { ...process.env, ...env } })
  children.push(child)
  let err = ''
  child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()))
  return { child, err: () => err }
}

const ended = async ({ child }: Running): Promise<unknown> => (await once(child, 'close'))[0]

/** Returns the first line of output as JSON. Without output, throws an error with the standard error. */
async function greeting(running: Running): Promise<{ url: string; vkey: string; disk: string; pid: number }> {
  const { child } = running
  let out = ''
  for await (const chunk of child.stdout ?? []) {
    out += String(chunk)
    if (out.includes('\n')) return JSON.parse(out)
  }
  throw new Error(running.err())
}

const acme = (): string[] => ['--module-id', 'acme', '--disk', disk, '--disk-size', '256M']

const append = (url: string, id: string, payload: unknown): Promise<Response> =>
  fetch(`${url}t/acme/v1/append`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ payload_id: id, payload }),
  })

const sizeNoted = async (): Promise<number> => {
  const text = await readFile(join(dir, '.secret/acme/ed25519.key.used'), 'utf8')
  return Math.max(...[...text.matchAll(/^service-fs\.local.*\n(\d+)$/gm)].map(([, size]) => Number(size)))
}

/** Kills a daemon and waits until its storage process has released the disk. */
const killed = async (running: Running): Promise<void> => {
  running.child.kill('SIGKILL')
  await ended(running)
  await expect.poll(() => spawnSync('flock', ['-n', disk, 'true']).status).toBe(0)
}

describe.skipIf(!isBuilt)('service-fs serve --envelope b', () => {
  it('makes a disk and keys, reopens them, and exits with 0 after SIGTERM', async () => {
    const first = serve(acme())
    const greeted = await greeting(first)
    expect(greeted).toMatchObject({ module_id: 'acme', origin: 'service-fs.local/ledger/acme', disk })
    expect((await append(greeted.url, 'a', 1)).status).toBe(200)
    expect((await stat(disk)).mode & 0o777).toBe(0o600)
    expect((await readdir(join(dir, '.secret/acme'))).sort()).toEqual([
      'audit-ed25519.key',
      'audit-ed25519.key.used',
      'ed25519.key',
      'ed25519.key.used',
    ])
    first.child.kill('SIGTERM')
    expect(await ended(first)).toBe(0)
    const again = serve([], { FS_ENVELOPE: 'b', FS_MODULE_ID: 'acme', FS_DISK: disk })
    const { url, vkey } = await greeting(again)
    expect(vkey).toBe(greeted.vkey)
    expect(await (await append(url, 'a', 1)).json()).toMatchObject({ cursor: 1, duplicate: true })
    expect((await fetch(`${url}readyz`)).status).toBe(200)
    again.child.kill('SIGINT')
    expect(await ended(again)).toBe(0)
    const listed = spawnSync('tar', ['-tf', disk], { encoding: 'utf8' })
    expect([listed.status, listed.stdout.includes('acme/checkpoint')]).toEqual([0, true])
  })

  it.each([
    [['--module-id', 'acme', '--disk', 'x.img', '--root', '.'], '--root is for --envelope a'],
    [['--module-id', 'acme'], '--disk'],
    [['--module-id', 'acme', '--disk', 'x.img', '--disk-size', '1000'], '--disk-size'],
    [['--module-id', 'acme', '--disk', 'x.img', '--listen', '0.0.0.0:0'], 'no credentials'],
    [['--envelope', 'c', '--module-id', 'acme', '--disk', 'x.img'], '--envelope'],
    [['--envelope', 'a', '--module-id', 'acme', '--disk', 'x.img', '--root', '.'], '--disk and --disk-size'],
  ])('exits with 2 for the wrong usage %j', async (args, reason) => {
    const running = serve(args)
    expect(await ended(running)).toBe(2)
    expect(running.err()).toContain(reason)
  })

  it('exits with 3 for a missing disk, a disk in use, and a ledger without its key', async () => {
    const none = serve(['--module-id', 'acme', '--disk', disk])
    expect([await ended(none), none.err()]).toEqual([3, expect.stringContaining('acme.img')])
    const first = serve(acme())
    await greeting(first)
    const second = serve(acme())
    expect([await ended(second), second.err()]).toEqual([3, expect.stringContaining('in use')])
    first.child.kill('SIGTERM')
    expect(await ended(first)).toBe(0)
    const key = join(dir, '.secret/acme/ed25519.key')
    await chmod(key, 0o644)
    const exposed = serve(acme())
    expect([await ended(exposed), exposed.err()]).toEqual([3, expect.stringContaining('chmod 600')])
    await chmod(key, 0o600)
    await rename(disk, `${disk}.away`)
    const other = serve(acme())
    expect([await ended(other), other.err()]).toEqual([3, expect.stringContaining('restore the ledger')])
  })

  it('exits with 3 and a reason when the storage process ends', async () => {
    const running = serve(acme())
    const { pid } = await greeting(running)
    const found = spawnSync('pgrep', ['-P', String(pid), 'psdb-host'], { encoding: 'utf8' })
    process.kill(Number(found.stdout.trim()), 'SIGKILL')
    expect(await ended(running)).toBe(3)
    expect(running.err()).toContain('psdb-host: ended with SIGKILL')
  })

  describe('a disk that lost its last writes', () => {
    let older: string
    beforeEach(async () => {
      older = join(dir, 'older.img')
      const first = serve(acme())
      const { url } = await greeting(first)
      for (let i = 0; i < 4; i++) expect((await append(url, `r${i}`, i)).status).toBe(200)
      // The disk only grows: later writes add members after the existing ones.
      await cp(disk, older)
      expect((await append(url, 'r4', 4)).status).toBe(200)
      await expect.poll(() => sizeNoted()).toBe(5)
      await killed(first)
    })

    const REFUSED =
      /ed25519\.key\.used: expected a ledger of at least 5 entries with the root hash \S+, which were acknowledged; found 4 entries .* service-fs serve --module-id acme --envelope b --disk \S+ --accept-shorter-tree 4/

    it('a disk that lost its last writes opens if no entry is lost', async () => {
      const again = serve(acme())
      expect(await (await append((await greeting(again)).url, 'r4', 4)).json()).toMatchObject({
        duplicate: true,
      })
    })

    it('serve exits with 3 and names both sizes and the command that accepts the loss', async () => {
      await cp(older, disk)
      const refused = serve(acme())
      expect([await ended(refused), refused.err()]).toEqual([3, expect.stringMatching(REFUSED)])
    })

    it('serve exits with 3 when the last sectors of the disk are zeros', async () => {
      const [before, after] = [await readFile(older), await readFile(disk)]
      for (let at = before.length - 512; at >= 0; at -= 512) {
        const there = after.subarray(at, at + 512)
        if (!there.equals(before.subarray(at, at + 512))) there.fill(0)
      }
      await writeFile(disk, after)
      const refused = serve(acme())
      expect([await ended(refused), refused.err()]).toEqual([3, expect.stringMatching(REFUSED)])
    })

    it('a disk that lost its last writes opens once with the size that the operator accepts, which is logged', async () => {
      await cp(older, disk)
      const wrong = serve([...acme(), '--accept-shorter-tree', '3', '--accept-shorter-audit-tree', '4'])
      expect([await ended(wrong), wrong.err()]).toEqual([3, expect.stringMatching(REFUSED)])
      const accepting = serve([...acme(), '--accept-shorter-tree', '4'])
      const { url } = await greeting(accepting)
      expect(accepting.err()).toContain('"message":"a tree was accepted"')
      expect(await (await append(url, 'r4', 'another')).json()).toMatchObject({ cursor: 5 })
      await expect.poll(() => sizeNoted()).toBe(5)
      await killed(accepting)
      const again = serve(acme())
      expect((await append((await greeting(again)).url, 'r5', 5)).status).toBe(200)
    })
  })

  it('serve rejects an audit sub-ledger that lost its end, unless its own flag accepts the loss', async () => {
    const first = serve(acme())
    const { url } = await greeting(first)
    expect((await append(url, 'a', 1)).status).toBe(200)
    const older = join(dir, 'older.img')
    await cp(disk, older)
    expect((await fetch(`${url}t/acme/v1/records/a`)).status).toBe(200)
    first.child.kill('SIGTERM')
    expect(await ended(first)).toBe(0)
    await cp(older, disk)
    const refused = serve(acme())
    expect([await ended(refused), refused.err()]).toEqual([
      3,
      expect.stringMatching(/audit-ed25519\.key\.used: .*found 0 entries .* --accept-shorter-audit-tree 0/),
    ])
    await greeting(serve([...acme(), '--accept-shorter-audit-tree', '0']))
  })

  it('keeps acknowledged records when it is killed repeatedly under load', async () => {
    const acknowledged = new Map<string, number>()
    let n = 0
    const client = async (url: string): Promise<void> => {
      try {
        for (;;) {
          const ids = Array.from({ length: n % 3 === 0 ? 40 : 1 }, () => `r${n++}`)
          const answer = await fetch(`${url}t/acme/v1/append`, {
            method: 'POST',
            headers: { 'content-type': 'application/x-ndjson' },
            body: ids.map((id) => JSON.stringify({ payload_id: id, payload: { id } })).join('\n'),
          })
          const { entries } = (await answer.json()) as { entries: { payload_id: string; cursor: number }[] }
          for (const { payload_id, cursor } of entries) acknowledged.set(payload_id, cursor)
        }
      } catch {
        // Ignore the error: the daemon was killed.
      }
    }
    for (let kill = 0; kill < 5; kill++) {
      const running = serve(acme())
      const { url } = await greeting(running)
      const clients = Promise.all(Array.from({ length: 8 }, () => client(url)))
      await new Promise((resolve) => void setTimeout(resolve, 300 + kill * 150))
      // On a slow machine, few records are appended in that time.
      await expect.poll(() => acknowledged.size).toBeGreaterThan(kill * 25)
      await killed(running)
      await clients
    }
    const last = serve(acme())
    const { url, vkey } = await greeting(last)
    expect(acknowledged.size).toBeGreaterThan(100)
    const found = new Map<string, number>()
    for (let since = 0; ;) {
      const answer = await fetch(`${url}t/acme/v1/entries?since=${since}&limit=1000`)
      const page = (await answer.json()) as {
        next_cursor: number
        entries: { payload_id: string; cursor: number }[]
      }
      for (const { payload_id, cursor } of page.entries) found.set(payload_id, cursor)
      if (page.entries.length === 0) break
      since = page.next_cursor
    }
    for (const [id, cursor] of acknowledged) expect(found.get(id), id).toBe(cursor)
    const verify = ['verify', `${url}t/acme/`, '--vkey', vkey, '--json']
    const verified = spawn(process.execPath, [bin, ...verify])
    let out = ''
    verified.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
    verified.stderr.on('data', (chunk: Buffer) => (out += chunk.toString()))
    const [status] = (await once(verified, 'close')) as unknown[]
    expect([status, out]).toEqual([0, expect.stringContaining('"ok":true')])
    last.child.kill('SIGTERM')
    expect(await ended(last)).toBe(0)
  })
})
