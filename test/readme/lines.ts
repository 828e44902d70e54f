// Runs the shell lines printed in README.txt of a ledger.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { daemonBuilt, startDaemon } from '../support/daemon.ts'

const TOOLS = ['sha256sum', 'base64', 'sed', 'openssl']
export const missing = TOOLS.filter((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0)
export const why = missing.length > 0 ? ` (skipped: no ${missing.join(', ')})` : ''
export const SHELLS = [['dash'], ['busybox', 'sh']].filter(
  ([program = '']) => spawnSync(program, [], { input: '' }).error === undefined,
)

export interface Said {
  stdout: string
  stderr: string
  status: number | null
}

/** Cuts the lines out as README.txt says, and runs them on an entry. They must leave nothing in the directory for temporary files. */
export function prove(at: string, entry: number | string, shell: string[] = ['dash'], vkey?: string): Said {
  const cut = spawnSync('sed', ['-n', '/^# ---- shell/,/^# ---- shell/p', 'README.txt'], { cwd: at })
  const [program = '', ...args] = shell
  const temporary = mkdtempSync(join(tmpdir(), 'service-fs \\ lines-'))
  try {
    const said = spawnSync(program, [...args, '-s', String(entry), ...(vkey === undefined ? [] : [vkey])], {
      cwd: at,
      input: cut.stdout,
      encoding: 'utf8',
      env: { ...process.env, TMPDIR: temporary },
    })
    expect(readdirSync(temporary)).toEqual([])
    return said
  } finally {
    rmSync(temporary, { recursive: true })
  }
}

/** Checks that the lines print exactly this entry and report it as true. */
export function expectTrue({ stdout, stderr, status }: Said, id: string, levels: number): void {
  expect(stderr).not.toContain('FALSE')
  expect(stderr.match(/^true: {2}tile.* leads to$/gm) ?? []).toHaveLength(levels)
  expect(stderr).toMatch(/^true: {2}the root hash in checkpoint/m)
  expect(stderr).toMatch(/^true: {2}the signature on checkpoint is by/m)
  expect(status).toBe(0)
  expect(stdout).toContain(`\nid: ${id}\n`)
}

/** The lines stop at the first failure, with a message and without printing the entry. */
export function expectFalse({ stdout, stderr, status }: Said, words: string): void {
  expect(stderr).toContain(`FALSE: ${words}`)
  expect(stderr.match(/FALSE/g)).toHaveLength(1)
  expect(status).toBe(1)
  expect(stdout).toBe('')
}

/** Replaces a file; a copy's files are read-only. */
export function put(dir: string, path: string, content: string): void {
  rmSync(join(dir, path), { force: true })
  mkdirSync(dirname(join(dir, path)), { recursive: true })
  writeFileSync(join(dir, path), content)
}

/** Changes a character in the middle of a line; lines count from 0. */
export function changeLine(dir: string, path: string, line: number): void {
  const text = readFileSync(join(dir, path), 'utf8').split('\n')
  const old = text[line] ?? ''
  text[line] = `${old.slice(0, 30)}${old[30] === 'A' ? 'B' : 'A'}${old.slice(31)}`
  put(dir, path, text.join('\n'))
}

/** Makes a ledger of 600 records, which a daemon wrote, in a directory. */
export async function writeByDaemon(dir: string): Promise<void> {
  expect(daemonBuilt).toBe(true)
  const daemon = await startDaemon()
  for (let at = 0; at < 600; at += 100) {
    const lines = Array.from({ length: 100 }, (_, i) =>
      JSON.stringify({ payload_id: `r${at + i}`, payload: { number: at + i } }),
    )
    const answer = await daemon.fetch('/v1/append', {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: lines.join('\n'),
    })
    expect(answer.status).toBe(200)
  }
  await daemon.kill()
  cpSync(daemon.dir, dir, { recursive: true })
  await daemon.dispose()
}

/** Makes a new copy beside a ledger, whose files a test may change. */
export function copyOf(dir: string): string {
  const copy = `${dir}-changed`
  rmSync(copy, { recursive: true, force: true })
  cpSync(dir, copy, { recursive: true })
  return copy
}

/** Writes a ledger of 600 entries before the tests of a file. During the tests, the returned function gives its directory. */
export function useLedger(): () => string {
  let work = ''
  beforeAll(async () => {
    work = mkdtempSync(join(tmpdir(), 'service-fs-readme-'))
    await writeByDaemon(join(work, 'ledger'))
  }, 120_000)
  afterAll(() => rmSync(work, { recursive: true, force: true }))
  return () => join(work, 'ledger')
}

export function testEntries(ledger: () => string, entries: readonly number[]): void {
  it.each(entries)(
    'print and accept entry %i of a ledger that a daemon wrote',
    (entry) => {
      for (const shell of SHELLS) {
        const said = prove(ledger(), entry, shell)
        expectTrue(said, `r${entry}`, entry < 512 ? 1 : 0)
        expect(said.stdout).toContain(`{"number":${entry}}`)
      }
    },
    300_000,
  )
}
