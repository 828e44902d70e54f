// `verify`, or the opening, finds one changed byte anywhere in a ledger directory and names the file.
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { verifyDirectory } from '@service-fs/client/verify-directory'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serviceFsCommand, startDaemon } from '../support/daemon.ts'
import { QUICK } from '../support/quick.ts'

/** The number of bytes to change, spread over a file; every byte of a shorter file. */
const PLACES = QUICK ? 6 : 60

let work = ''
let dir = ''
let vkey = ''

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'service-fs-tamper-'))
  dir = join(work, 'ledger')
  const daemon = await startDaemon()
  for (let at = 0; at < 700; at += 100) {
    const lines = Array.from({ length: 100 }, (_, i) => {
      const payload = at === 300 && i === 50 ? 'large '.repeat(20_000) : `record ${at + i}`
      return JSON.stringify({ payload_id: `r${at + i}`, payload })
    })
    const init = {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: lines.join('\n'),
    }
    expect((await daemon.fetch('/v1/append', init)).status).toBe(200)
  }
  for (let cursor = 1; cursor <= 300; cursor++) await daemon.fetch(`/v1/entries/${cursor}`)
  vkey = await daemon.vkey()
  await daemon.kill()
  cpSync(daemon.dir, dir, { recursive: true })
  await daemon.dispose()
})

afterAll(() => rmSync(work, { recursive: true, force: true }))

function files(at: string): string[] {
  const own = new Set(['lock', 'tmp', 'cache'])
  return readdirSync(at, { withFileTypes: true }).flatMap((entry) => {
    const path = join(at, entry.name)
    if (own.has(entry.name)) return []
    return entry.isDirectory() ? files(path) : [path]
  })
}

function write(path: string, bytes: Uint8Array): void {
  unlinkSync(path)
  writeFileSync(path, bytes)
}

/** Offsets in a file of `length` bytes, including its first and last. */
function places(length: number): number[] {
  if (length <= PLACES) return Array.from({ length }, (_, i) => i)
  return Array.from({ length: PLACES }, (_, i) => Math.floor((i * (length - 1)) / (PLACES - 1)))
}

/** The report's finding for one changed byte; undefined if it finds nothing. */
async function found(
  file: string,
  honest: Uint8Array,
  at: number,
  mask: number,
): Promise<string | undefined> {
  const changed = Uint8Array.from(honest)
  changed[at] = (changed[at] ?? 0) ^ mask
  write(file, changed)
  try {
    const report = await verifyDirectory(dir)
    return report.ok ? undefined : JSON.stringify(report)
  } finally {
    write(file, honest)
  }
}

describe('a changed byte', () => {
  it('is detected, while the honest ledger verifies', async () => {
    const report = await verifyDirectory(dir)
    expect(report).toMatchObject({ ok: true, size: 701, records: 700 })
    expect(files(dir).map((file) => relative(dir, file))).toEqual(
      expect.arrayContaining([
        'checkpoint',
        'keys/ed25519.vkey',
        'tile/0/000.b64',
        'tile/entries/001.b64',
        'audit/tile/0/000.b64',
      ]),
    )
  })

  it('is detected and located everywhere in the sealed tiles, the tail, the keys, the origin and the checkpoint', async () => {
    let changes = 0
    for (const file of files(dir)) {
      const name = relative(dir, file)
      if (name.endsWith('README.txt')) continue
      const honest = readFileSync(file)
      for (const [i, at] of places(statSync(file).size).entries()) {
        const said = await found(file, honest, at, 1 << (i % 8))
        expect(said, `byte ${at} of ${name}, mask ${1 << (i % 8)}`).toBeDefined()
        expect(said, `byte ${at} of ${name}, mask ${1 << (i % 8)}`).toContain(name.replace(/^audit\//, ''))
        changes += 1
      }
    }
    console.log(`${changes} changed bytes, all found`)
    expect(changes).toBeGreaterThan(8 * PLACES)
  }, 900_000)

  it('makes the daemon refuse the ledger, naming the file and the expected contents', async () => {
    const root = join(work, 'root')
    const tail = readdirSync(join(dir, 'tail'))[0] ?? ''
    for (const name of ['checkpoint', 'origin', 'keys/ed25519.vkey', `tail/${tail}`]) {
      rmSync(root, { recursive: true, force: true })
      cpSync(dir, join(root, 'test'), { recursive: true })
      const file = join(root, 'test', name)
      const bytes = readFileSync(file)
      bytes[Math.floor(bytes.length / 2)] = (bytes[Math.floor(bytes.length / 2)] ?? 0) ^ 1
      write(file, bytes)
      const before = readFileSync(file)
      const refused = await serviceFsCommand([
        'serve',
        '--module-id',
        'test',
        '--root',
        root,
        '--listen',
        '127.0.0.1:0',
      ])
      expect(refused.code, name).toBe(3)
      expect(refused.stderr, name).toMatch(/^service-fs: /)
      expect(readFileSync(file).equals(before)).toBe(true)
    }
  })

  it('makes the command report false, with exit status 1', async () => {
    const file = join(dir, 'tile/0/000.b64')
    const honest = readFileSync(file)
    const changed = Buffer.from(honest)
    changed[100] = (changed[100] ?? 0) ^ 2
    write(file, changed)
    const { code, stdout, stderr } = await serviceFsCommand(['verify', dir, '--vkey', vkey])
    write(file, honest)
    expect(code).toBe(1)
    expect(`${stdout}${stderr}`).toContain('tile/0/000.b64')
  })
})
