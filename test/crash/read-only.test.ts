// A disk that refuses writes: acknowledged records stay readable as long as reads can be recorded, and appends resume by themselves.
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'
import { sleep } from '../support/process.ts'

const run = (command: string, ...args: string[]): boolean => spawnSync(command, args).status === 0

/** Reports whether this process can mount file systems. */
const canMount = ((): boolean => {
  if (process.getuid?.() !== 0) return false
  const at = mkdtempSync(join(tmpdir(), 'service-fs-mount-'))
  const done = run('mount', '-t', 'tmpfs', 'tmpfs', at)
  if (done) run('umount', at)
  rmSync(at, { recursive: true })
  return done
})()
const why = canMount ? '' : ' (skipped: not root, or no tmpfs can be mounted)'

let root: string
const mounted: string[] = []
let daemon: Daemon | undefined

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'service-fs-read-only-'))
})
afterEach(async () => {
  await daemon?.dispose()
  daemon = undefined
  for (const at of mounted.splice(0).reverse()) run('umount', '-l', at)
  rmSync(root, { recursive: true, force: true })
})

/** A separate file system mounted below the root directory. */
function mountAt(below: string, size: string): string {
  const at = join(root, below)
  mkdirSync(at, { recursive: true, mode: 0o700 })
  expect(run('mount', '-t', 'tmpfs', '-o', `size=${size},mode=700`, 'tmpfs', at)).toBe(true)
  mounted.push(at)
  return at
}

function remount(at: string, how: string): void {
  expect(run('mount', '-o', `remount,${how}`, at)).toBe(true)
}

async function start(options: { args?: string[] } = {}): Promise<Daemon> {
  daemon = await startDaemon({ root, ...options })
  return daemon
}

/** A payload so large that twenty of them do not fit into the remaining room of a filled disk. */
const LARGE = 'x'.repeat(20_000)

function append(to: Daemon, id: string, text = id): Promise<Response> {
  return to.fetch('/v1/append', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ payload_id: id, payload: { text } }),
  })
}

function fill(at: string): void {
  spawnSync('dd', ['if=/dev/zero', `of=${at}/ballast`, 'bs=4k'])
}

const codeOf = async (answer: Response): Promise<unknown> =>
  ((await answer.json()) as { code?: unknown }).code

async function readyz(of: Daemon): Promise<[number, string]> {
  const answer = await of.fetch('/readyz')
  return [answer.status, await answer.text()]
}

async function gauge(of: Daemon, name: string): Promise<string | undefined> {
  const text = await (await of.fetch('/metrics')).text()
  return new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]
}

/** Waits until the file `checkpoint` covers that many entries. */
async function untilPublished(of: Daemon, size: number): Promise<void> {
  const published = (): string | undefined => readFileSync(join(of.dir, 'checkpoint'), 'utf8').split('\n')[1]
  await expect.poll(published).toBe(String(size))
}

/** Starts a daemon whose ledger is on the disk at `at`, appends 20 large records, and restarts it on the full disk. */
async function restartOnFullDisk(at: string): Promise<Daemon> {
  const before = await start()
  for (let i = 0; i < 20; i++) expect((await append(before, `r${i}`, LARGE)).status).toBe(200)
  await untilPublished(before, 20)
  await before.kill('SIGKILL')
  fill(at)
  daemon = await before.restart()
  return daemon
}

/** Waits until the daemon accepts appends. */
async function untilReady(of: Daemon): Promise<void> {
  for (let i = 0; i < 300; i++) {
    if ((await readyz(of))[0] === 200) return
    await sleep(100)
  }
  throw new Error(`it does not get ready: ${(await readyz(of))[1]}\n${of.stderr()}`)
}

describe.skipIf(why !== '')(`a daemon started on a disk that refuses writes${why}`, () => {
  it('answers reads if its ledger is on a full disk, and accepts appends when there is room', async () => {
    const at = mountAt('test', '8m')
    mountAt('test/audit', '16m')
    const on = await restartOnFullDisk(at)
    const [status, text] = await readyz(on)
    expect([status, text]).toEqual([503, expect.stringMatching(/ledger takes no appends.*ENOSPC/)])
    const answer = await on.fetch('/v1/records/r0')
    expect([answer.status, answer.headers.get('x-audit-index')]).toEqual([200, '0'])
    const refused = await append(on, 'new')
    expect([refused.status, await codeOf(refused)]).toEqual([507, 'full'])
    expect(on.stderr()).toMatch(/"message":"the ledger takes no appends"/)
    expect(await gauge(on, 'service_fs_read_only{ledger="main",tenant="test"}')).toBe('1')
    expect((await on.fetch('/healthz')).status).toBe(200)

    const { pid } = on
    rmSync(join(at, 'ballast'))
    await untilReady(on)
    expect((await append(on, 'new')).status).toBe(200)
    for (const id of ['r0', 'r19', 'new']) expect((await on.fetch(`/v1/records/${id}`)).status).toBe(200)
    expect(await gauge(on, 'service_fs_read_only{ledger="main",tenant="test"}')).toBe('0')
    expect([on.pid, on.stderr()]).toEqual([pid, expect.stringContaining('takes appends again')])
    await on.kill()
    const { code, stdout } = await serviceFsCommand(['verify', on.dir])
    expect([code, stdout]).toEqual([0, expect.stringContaining('21 records')])
  })

  it('starts and rejects reads if its audit sub-ledger is on the full disk too, and recovers completely', async () => {
    const at = mountAt('', '8m')
    const on = await restartOnFullDisk(at)
    for (const path of ['/v1/records/r0', '/v1/entries', '/checkpoint', '/audit/v1/entries']) {
      const answer = await on.fetch(path)
      expect([path, answer.status, await codeOf(answer)]).toEqual([path, 507, 'full'])
    }
    expect((await append(on, 'new')).status).toBe(507)
    expect(await readyz(on)).toEqual([503, expect.stringContaining('ENOSPC')])
    rmSync(join(at, 'ballast'))
    await untilReady(on)
    expect((await append(on, 'new')).status).toBe(200)
    expect((await on.fetch('/v1/records/r0')).status).toBe(200)
  })

  it('answers reads from a read-only disk while it can record them, and accepts appends after a remount for writing', async () => {
    const at = mountAt('test', '32m')
    const audit = mountAt('test/audit', '32m')
    let on = await start()
    for (let i = 0; i < 300; i++) expect((await append(on, `r${i}`)).status).toBe(200)
    await on.kill('SIGKILL')
    remount(at, 'ro')
    on = daemon = await on.restart()
    expect(await readyz(on)).toEqual([503, expect.stringContaining('EROFS')])
    expect((await on.fetch('/v1/records/r0')).status).toBe(200)
    expect((await on.fetch('/tile/0/000')).status).toBe(200)
    const refused = await append(on, 'new')
    expect([refused.status, await codeOf(refused)]).toEqual([503, 'read-only'])
    const again = await append(on, 'r7')
    expect([again.status, await again.json()]).toMatchObject([200, { duplicate: true }])
    await on.kill('SIGKILL')
    remount(audit, 'ro')
    on = daemon = await on.restart()
    const read = await on.fetch('/v1/records/r0')
    expect([read.status, await codeOf(read)]).toEqual([503, 'read-only'])
    remount(at, 'rw')
    remount(audit, 'rw')
    await untilReady(on)
    expect((await append(on, 'new')).status).toBe(200)
    expect((await on.fetch('/v1/records/r299')).status).toBe(200)
  })

  it('also recovers if the disk filled up while it ran, and its followers continue', async () => {
    const at = mountAt('', '16m')
    const on = await start()
    expect((await append(on, 'r0')).status).toBe(200)
    const stream = await on.fetch('/v1/follow', { signal: AbortSignal.timeout(60_000) })
    const reader = (stream.body as ReadableStream<Uint8Array>).getReader()
    let seen = ''
    const follow = async (until: string): Promise<void> => {
      while (!seen.includes(until)) {
        const { value, done } = await reader.read()
        if (done) throw new Error(`the stream ended: ${seen}`)
        seen += Buffer.from(value).toString()
      }
    }
    await follow('"payload_id":"r0"')
    fill(at)
    const large = randomBytes(200_000).toString('hex')
    let answer = await append(on, 'large', large)
    for (let i = 0; answer.status === 200 && i < 40; i++) answer = await append(on, `large${i}`, large)
    expect([answer.status, await codeOf(answer)]).toEqual([507, 'full'])
    rmSync(join(at, 'ballast'))
    await untilReady(on)
    expect((await append(on, 'after')).status).toBe(200)
    await follow('"payload_id":"after"')
    await reader.cancel()
  })
})

/** The contents of a directory: paths, and the bytes of files. */
function snapshot(dir: string): Record<string, string> {
  const names = readdirSync(dir, { recursive: true, withFileTypes: true })
  return Object.fromEntries(
    names
      .filter((one) => one.isFile())
      .map((one) => [join(one.parentPath, one.name), readFileSync(join(one.parentPath, one.name), 'hex')]),
  )
}

describe('serve --read-only', () => {
  it('writes nothing to the ledger, and records reads in its audit', async () => {
    let on = await start()
    for (let i = 0; i < 5; i++) expect((await append(on, `r${i}`)).status).toBe(200)
    await on.kill()
    const before = snapshot(on.dir)
    on = daemon = await on.restart({ args: ['--read-only'] })
    expect((await on.fetch('/v1/records/r4')).status).toBe(200)
    expect(await codeOf(await append(on, 'new'))).toBe('read-only')
    expect(await readyz(on)).toEqual([503, expect.stringContaining('--read-only')])
    await on.kill()
    const after = snapshot(on.dir)
    const ofMain = (files: Record<string, string>): [string, string][] =>
      Object.entries(files).filter(([path]) => !path.startsWith(join(on.dir, 'audit')))
    expect(ofMain(after)).toEqual(ofMain(before))
    expect(after).not.toEqual(before)
    on = daemon = await on.restart({ args: [] })
    expect((await append(on, 'new')).status).toBe(200)
    const read = await on.fetch('/audit/v1/entries')
    expect(((await read.json()) as { entries: unknown[] }).entries).toHaveLength(1)
  })

  it.skipIf(why !== '')(
    `serves a read-only medium${why}`,
    async () => {
      const at = mountAt('', '16m')
      let on = await start()
      expect((await append(on, 'r0')).status).toBe(200)
      await on.kill()
      remount(at, 'ro')
      on = daemon = await on.restart({ args: ['--read-only'] })
      const read = await on.fetch('/v1/records/r0')
      expect([read.status, await codeOf(read)]).toEqual([503, 'read-only'])
      expect((await on.fetch('/metrics')).status).toBe(200)
      await on.kill()
      for (const command of [
        ['verify', on.dir],
        ['audit', 'ls', on.dir],
      ])
        expect((await serviceFsCommand(command)).code).toBe(0)
      const out = join(tmpdir(), `service-fs-export-${process.pid}.tar`)
      expect((await serviceFsCommand(['export', on.dir, '--out', out])).code).toBe(0)
      rmSync(out)
    },
    60_000,
  )

  it('serves a ledger with a damaged tail up to the last whole commit, and reports the error with which serve rejects it', async () => {
    let on = await start()
    for (let i = 0; i < 8; i++) expect((await append(on, `r${i}`)).status).toBe(200)
    await untilPublished(on, 8)
    await on.kill('SIGKILL')
    const tail = join(on.dir, 'tail/000000000000')
    const bytes = readFileSync(tail)
    bytes[Math.floor(bytes.length / 2)] = 0x21
    writeFileSync(tail, bytes)
    const openError = await on.restart().then(
      () => '',
      (error: Error) => error.message,
    )
    const words = /service-fs: (tail\/.+), found "/.exec(openError)?.[1] ?? 'no such words'
    expect(words).toContain('byte')
    on = daemon = await on.restart({ args: ['--read-only'] })
    expect(await readyz(on)).toEqual([503, expect.stringContaining(words)])
    expect(on.stderr()).toContain(words)
    const shown = await on.fetch('/v1/records/r2')
    expect([shown.status, shown.headers.get('x-audit-index')]).toEqual([200, '0'])
    const lost = await on.fetch('/v1/records/r7')
    expect([lost.status, await codeOf(lost)]).toEqual([503, 'read-only'])
    expect((await on.fetch('/checkpoint')).status).toBe(200)
    const out = join(root, 'saved.tar')
    const saved = await serviceFsCommand(['export', on.prefix, '--out', out])
    expect([saved.code, saved.stderr]).toEqual([0, ''])
    const { code, stdout } = await serviceFsCommand(['verify', out])
    expect([code, stdout]).toEqual([0, expect.stringMatching(/: [3-6] entries, [3-6] records/)])
    expect(readFileSync(tail).equals(bytes)).toBe(true)
  })

  it('serves the sealed entries when the first commit of the tail is damaged', async () => {
    let on = await start()
    const lines = Array.from({ length: 300 }, (_, i) =>
      JSON.stringify({ payload_id: `r${i}`, payload: { i } }),
    )
    const answer = await on.fetch('/v1/append', {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: lines.join('\n'),
    })
    expect(answer.status).toBe(200)
    await on.kill()
    on = daemon = await on.restart()
    expect((await append(on, 'after')).status).toBe(200)
    await untilPublished(on, 301)
    await on.kill('SIGKILL')
    expect(readdirSync(join(on.dir, 'tail'))).toEqual(['000000000256'])
    const tail = join(on.dir, 'tail/000000000256')
    const bytes = readFileSync(tail)
    bytes[Math.floor(bytes.length / 2)] = 0x21
    writeFileSync(tail, bytes)
    await expect(on.restart()).rejects.toThrow(/tail\/000000000256: byte/)
    on = daemon = await on.restart({ args: ['--read-only'] })
    for (const [id, status] of [
      ['r0', 200],
      ['r255', 200],
      ['r256', 503],
      ['after', 503],
    ] as const)
      expect([id, (await on.fetch(`/v1/records/${id}`)).status]).toEqual([id, status])
    const checkpoint = await (await on.fetch('/checkpoint')).text()
    expect(checkpoint.split('\n')[1]).toBe('256')
    const out = join(root, 'saved.tar')
    const saved = await serviceFsCommand(['export', on.prefix, '--out', out])
    expect([saved.code, saved.stderr]).toEqual([0, ''])
    const { code, stdout } = await serviceFsCommand(['verify', out])
    expect([code, stdout]).toEqual([0, expect.stringContaining(': 256 entries, 256 records')])
    expect(readFileSync(tail).equals(bytes)).toBe(true)
  })

  it('refuses a directory without a ledger', async () => {
    await expect(start({ args: ['--read-only'] })).rejects.toThrow(/no ledger/)
  })
})
