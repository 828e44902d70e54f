// A ledger moves between places and envelopes, by tar or by export and restore, and continues there.
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { buildProgram } from '@service-fs/cli/program'
import { testIo } from '@service-fs/cli/testing'
import type { LedgerReport } from '@service-fs/client/verify'
import { SHELL_MARK } from '@service-fs/format/readme-shell'
import { missing } from '@service-fs/engine-host/psdb/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fsck, missingFsck } from '../interop/tools.ts'
import { listen, run } from '../support/process.ts'
import { MODULE_ID, serve, type Place, type Served } from './served.ts'

const noFsck = await missingFsck()

let work = ''
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), 'service-fs-moving-'))
})
afterEach(() => rmSync(work, { recursive: true, force: true }))

/** Runs a command that must succeed; returns its output. */
async function done(...args: string[]): Promise<string> {
  const io = testIo()
  await buildProgram(io).parseAsync(args, { from: 'user' })
  expect(io.errors, args.join(' ')).toEqual([])
  expect(io.code, args.join(' ')).toBe(0)
  return io.text()
}

async function report(command: string, ...args: string[]): Promise<LedgerReport> {
  return JSON.parse(await done(command, ...args, '--json')) as LedgerReport
}

function tar(...args: string[]): void {
  expect(spawnSync('tar', args, { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' })
}

/** A moving ledger: its place, its expected contents, its keys. */
class Traveller {
  place: Place
  readonly ids: string[] = []
  readonly #vkeys: string[] = []
  #hops = 0
  #audited = 0

  constructor(envelope: Place['envelope']) {
    this.place = this.#fresh(envelope)
  }

  /** A new place in its own folder. */
  #fresh(envelope: Place['envelope']): Place {
    const folder = join(work, `${this.#hops++}-${envelope}`)
    mkdirSync(folder)
    return { envelope, path: join(folder, envelope === 'a' ? MODULE_ID : 'disk.img') }
  }

  /** Serves the ledger, appends commits of these sizes, reads it, and stops. */
  async live(commits: readonly number[], how: 'SIGTERM' | 'SIGKILL', bytes = 100): Promise<void> {
    const served = await serve(this.place)
    const before = await fetch(`${served.url}v1/records/r0`)
    expect(before.status).toBe(this.ids.length === 0 ? 404 : 200)
    await before.arrayBuffer()
    for (const count of commits) {
      const records = Array.from({ length: count }, (_, i) => ({ id: `r${this.ids.length + i}`, bytes }))
      await served.append(records)
      this.ids.push(...records.map(({ id }) => id))
    }
    await served.end(how)
    for (const key of ['ed25519', 'audit-ed25519']) {
      const text = readFileSync(join(dirname(this.place.path), '.secret', MODULE_ID, `${key}.key`), 'utf8')
      expect(text).toMatch(/^PRIVATE\+KEY\+/)
    }
  }

  /** Checks that the ledger verifies with its original keys, and holds every record. */
  async check(): Promise<LedgerReport> {
    const pins = this.#vkeys.flatMap((vkey) => ['--vkey', vkey])
    const found = await report('verify', this.place.path, ...pins)
    expect(found).toMatchObject({ ok: true, records: this.ids.length, audit: { ok: true } })
    expect(found.pinned && found.audit?.pinned).toBe(this.#vkeys.length > 0)
    expect(found.audit?.size).toBeGreaterThanOrEqual(this.#audited)
    this.#audited = found.audit?.size ?? 0
    if (this.#vkeys.length === 0) {
      const out = join(work, 'first')
      await done('export', this.place.path, '--out', out)
      for (const keys of ['keys', 'audit/keys'])
        this.#vkeys.push(readFileSync(join(out, keys, 'ed25519.vkey'), 'utf8').trim())
    }
    return found
  }

  /** Moves the ledger to a new place in an envelope: by tar, or by export and restore. */
  async move(to: Place['envelope'], by: 'tar' | 'export' | 'export.tar'): Promise<void> {
    const from = this.place
    const place = this.#fresh(to)
    if (by === 'tar') this.#tar(from, place)
    else {
      const out = join(dirname(place.path), by)
      await done('export', from.path, '--out', out)
      await done('restore', out, '--out', place.path, ...(to === 'b' ? ['--module-id', MODULE_ID] : []))
      const again = join(dirname(place.path), `again-${by}`)
      await done('export', place.path, '--out', again)
      expect(spawnSync('diff', ['-r', out, again], { encoding: 'utf8' })).toMatchObject({
        status: 0,
        stdout: '',
      })
    }
    cpSync(join(dirname(from.path), '.secret'), join(dirname(place.path), '.secret'), { recursive: true })
    this.place = place
  }

  #tar(from: Place, to: Place): void {
    if (from.envelope === 'a' && to.envelope === 'b')
      tar('-cf', to.path, `--exclude=${MODULE_ID}/tmp`, '-C', dirname(from.path), MODULE_ID)
    else if (from.envelope === 'b' && to.envelope === 'a') tar('-xf', from.path, '-C', dirname(to.path))
    else cpSync(from.path, to.path, { recursive: true })
    if (to.envelope === 'a') expect(statSync(to.path).mode & 0o777).toBe(0o700)
  }
}

describe.skipIf(missing !== '')(`a ledger that moves${missing}`, () => {
  it('from files to a disk image by tar, and back by tar', async () => {
    const ledger = new Traveller('a')
    await ledger.live([1, 300, 20], 'SIGTERM')
    await ledger.check()
    await ledger.move('b', 'tar')
    await ledger.live([1, 250, 3], 'SIGTERM')
    expect((await ledger.check()).size).toBe(575)
    await ledger.move('a', 'tar')
    await ledger.live([100], 'SIGTERM')
    expect((await ledger.check()).size).toBe(675)
  })

  it('from a disk image to files by export, and back by export', async () => {
    const ledger = new Traveller('b')
    await ledger.live([1, 300, 20], 'SIGTERM')
    await ledger.check()
    await ledger.move('a', 'export')
    await ledger.live([1, 250, 3], 'SIGTERM')
    await ledger.check()
    await ledger.move('b', 'export.tar')
    await ledger.live([100], 'SIGTERM')
    expect((await ledger.check()).size).toBe(675)
  })

  it.each([0, 255, 256, 512])('at %i entries, by export, to each envelope', async (size) => {
    const ledger = new Traveller('a')
    await ledger.live(size === 0 ? [] : [size], 'SIGTERM')
    await ledger.check()
    for (const to of ['b', 'a'] as const) {
      await ledger.move(to, 'export')
      await ledger.check()
      await ledger.live([1, 1], 'SIGTERM')
      await ledger.check()
    }
  })

  it('in any order, in each way, after clean stops and kills', async () => {
    const hop = fc.record({
      to: fc.constantFrom<Place['envelope']>('a', 'b'),
      by: fc.constantFrom('tar', 'export', 'export.tar'),
      commits: fc.array(fc.constantFrom(1, 3, 100, 255, 256, 257), { maxLength: 3 }),
      end: fc.constantFrom('SIGTERM', 'SIGKILL'),
      bytes: fc.constantFrom(0, 100, 4000),
    })
    const way = fc.record({
      from: fc.constantFrom<Place['envelope']>('a', 'b'),
      hops: fc.array(hop, { minLength: 2, maxLength: 4 }),
    })
    await fc.assert(
      fc.asyncProperty(way, async ({ from, hops }) => {
        rmSync(work, { recursive: true, force: true })
        mkdirSync(work)
        const ledger = new Traveller(from)
        await ledger.live([2], 'SIGTERM')
        await ledger.check()
        for (const { to, by, commits, end, bytes } of hops) {
          await ledger.move(to, by)
          await ledger.live(commits, end, bytes)
          await ledger.check()
        }
      }),
      { numRuns: 4 },
    )
  })
})

/** Appends commits of 1 to 55 records of 4,000 bytes, one after the other. */
async function appendUntil(signal: AbortSignal, served: Served): Promise<void> {
  for (let commit = 0; commit < 150 && !signal.aborted; commit++) {
    const count = 1 + (commit % 7) * 9
    await served.append(Array.from({ length: count }, (_, i) => ({ id: `c${commit}-${i}`, bytes: 4000 })))
  }
}

describe.skipIf(missing !== '').each(['a', 'b'] as const)(
  `an export of a ledger in use, envelope %s${missing}`,
  (envelope) => {
    it('is complete at every moment, from files and over HTTP', async () => {
      const folder = join(work, 'live')
      mkdirSync(folder)
      const place: Place = { envelope, path: join(folder, envelope === 'a' ? MODULE_ID : 'disk.img') }
      const served = await serve(place)
      const over = new AbortController()
      const appending = appendUntil(over.signal, served)
      const sizes: number[] = []
      try {
        for (let i = 0; i < 4; i++) {
          for (const source of [place.path, served.url]) {
            const out = join(
              work,
              `out-${i}-${source === place.path ? 'files' : 'url'}${i % 2 === 0 ? '' : '.tar'}`,
            )
            const found = await report('export', source, '--out', out)
            sizes.push(found.size)
            expect(await report('verify', out)).toMatchObject({
              ok: true,
              size: found.size,
              audit: { ok: true },
            })
          }
        }
      } finally {
        over.abort()
        await appending
      }
      expect([...sizes].sort((x, y) => x - y)).toEqual(sizes)
      expect(sizes.at(-1)).toBeGreaterThan(sizes[0] ?? 0)
      const remote = await report('export', served.url, '--out', join(work, 'remote'))
      await served.end('SIGTERM')
      const local = await report('export', place.path, '--out', join(work, 'local'))
      expect(local.root).toBe(remote.root)
      for (const at of ['remote', 'local']) renameSync(join(work, at, 'audit'), join(work, `${at}-audit`))
      expect(spawnSync('diff', ['-r', 'remote', 'local'], { cwd: work, encoding: 'utf8' })).toMatchObject({
        status: 0,
      })
      // The export's own reads have grown the audit; the exported audit is a prefix of it.
      for (const path of ['origin', 'keys/ed25519.vkey'])
        expect(readFileSync(join(work, 'remote-audit', path))).toEqual(
          readFileSync(join(work, 'local-audit', path)),
        )
      expect(local.audit?.size).toBeGreaterThan(remote.audit?.size ?? 0)
    })
  },
)

/** The tiles of an export in the binary form of tlog-tiles. */
function tileOf(dir: string, path: string): Buffer {
  const lines = readFileSync(join(dir, `${path}.b64`), 'latin1')
    .trimEnd()
    .split('\n')
  const contents = lines.map((line) => Buffer.from(line, 'base64'))
  if (!path.startsWith('tile/entries/')) return Buffer.concat(contents)
  return Buffer.concat(
    contents.flatMap((entry) => [Buffer.from([entry.length >> 8, entry.length & 255]), entry]),
  )
}

async function exported(size: number): Promise<string> {
  const place: Place = { envelope: 'a', path: join(work, MODULE_ID) }
  const served = await serve(place)
  await served.append(Array.from({ length: size }, (_, i) => ({ id: `r${i}`, bytes: 50 })))
  await done('export', served.url, '--out', join(work, 'out'))
  await served.end('SIGTERM')
  return join(work, 'out')
}

describe('an export, by other programs', () => {
  it('passes the shell lines of its README.txt, and fails them if it was changed', async () => {
    const dir = await exported(300)
    const lines = readFileSync(join(dir, 'README.txt'), 'utf8').split(SHELL_MARK)[1] ?? ''
    const shell = (entry: number) => run('dash', ['-s', String(entry)], { cwd: dir, stdin: lines })
    for (const entry of [0, 299]) {
      const { stdout, stderr } = await shell(entry)
      expect(stdout).toContain(`id: r${entry}\n`)
      expect(stderr).toContain('true:  the root hash in checkpoint')
      expect(stderr).toContain('true:  the signature on checkpoint')
    }
    renameSync(join(dir, 'tile/entries/001.p/44.b64'), join(dir, 'tile/entries/001.p/old'))
    const changed = readFileSync(join(dir, 'tile/entries/001.p/old'), 'latin1').replace(/^(.{30})./, '$1Z')
    writeFileSync(join(dir, 'tile/entries/001.p/44.b64'), changed)
    const { stdout, stderr } = await shell(256)
    expect(stderr).toContain('FALSE: tile/0/001.p/44.b64 line 1:')
    expect(stdout).toBe('')
  })

  it.skipIf(noFsck !== undefined)(
    `passes Tessera's fsck, when its tiles are served${noFsck === undefined ? '' : ` (skipped: ${noFsck})`}`,
    async () => {
      const dir = await exported(700)
      const server = createServer((request, response) => {
        const path = (request.url ?? '').slice(1)
        try {
          response.end(path === 'checkpoint' ? readFileSync(join(dir, path)) : tileOf(dir, path))
        } catch {
          response.writeHead(404).end()
        }
      })
      const port = await listen(server)
      const vkey = join(dir, 'keys/ed25519.vkey')
      expect(await fsck(`http://127.0.0.1:${port}/`, vkey)).toEqual({ good: 700 })
      server.close()
      server.closeAllConnections()
    },
    300_000,
  )
})
