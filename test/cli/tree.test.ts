// A tree of thousands of real files, appended to a running daemon by the command line, read back, proven and verified.

import {
  copyFile,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { existsSync, lstatSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { daemonBuilt, serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'
import { run, type Finished } from '../support/process.ts'
import { repoRoot } from '../support/root.ts'
import { QUICK } from '../support/quick.ts'

/** Real files: the documentation of this machine's packages, or else what npm installed here. */
const sources = ['/usr/share/doc', join(repoRoot, 'node_modules/.pnpm')]
const FILES = QUICK ? 1_200 : 4_000
const LARGEST = 300_000

let base = ''
let tree = ''
let daemon: Daemon
let count = 0

/** Copies files of `source` until there are enough; symbolic links stay links. */
async function copyTree(source: string, target: string): Promise<void> {
  for (const entry of await readdir(source, { withFileTypes: true }).catch(() => [])) {
    if (count >= FILES) return
    const [from, to] = [join(source, entry.name), join(target, entry.name)]
    if (entry.isDirectory()) await copyTree(from, to)
    else if (entry.isFile() && lstatSync(from).size <= LARGEST) {
      await mkdir(target, { recursive: true })
      await copyFile(from, to)
      count += 1
    }
  }
}

/** The unusual parts of a tree: links, empty directories, empty and split files, names of all kinds. */
async function addOddities(): Promise<void> {
  await mkdir(join(tree, 'odd/empty directory'), { recursive: true })
  await symlink('../real', join(tree, 'odd/link'))
  await symlink('/nowhere/at/all', join(tree, 'odd/dangling'))
  await writeFile(join(tree, 'odd/empty'), '')
  await writeFile(join(tree, 'odd/split'), Buffer.alloc(1_000_000, 'a split record '))
  await writeFile(join(tree, 'odd/json.json'), '{ "b": 1, "a": [1.0, 2] }\n')
  await writeFile(join(tree, 'odd/Grüße & \'quotes\' "%2F" #?.txt'), 'x')
  count += 7
}

function cli(...args: string[]): Promise<Finished> {
  const env = { FS_URL: daemon.url, FS_MODULE_ID: daemon.moduleId }
  return serviceFsCommand(args, { cwd: base, env, timeoutMs: 300_000 })
}

async function json(...args: string[]): Promise<Record<string, unknown>> {
  const done = await cli(...args, '--json')
  expect(done.stderr, args.join(' ')).toBe('')
  return JSON.parse(done.stdout) as Record<string, unknown>
}

describe.skipIf(!daemonBuilt)('the command line and a tree of files', () => {
  beforeAll(async () => {
    base = await mkdtemp(join(tmpdir(), 'service-fs-cli-'))
    tree = join(base, 'tree')
    for (const source of sources) await copyTree(source, join(tree, 'real'))
    await addOddities()
    daemon = await startDaemon()
  })

  afterAll(async () => {
    await daemon?.dispose()
    await rm(base, { recursive: true, force: true })
  })

  it('appends every file without messages, and reports all of them as present the second time', async () => {
    expect(count).toBeGreaterThan(FILES / 2)
    const first = await json('append', 'tree')
    expect(first).toMatchObject({ records: count, appended: count, duplicates: 0, refused: [] })
    const second = await json('append', tree)
    expect(second).toMatchObject({ records: count, appended: 0, duplicates: count, refused: [] })
  })

  it('gets every file back unchanged', async () => {
    const got = await cli('get', '--all', '--out', 'out', '--vkey', await daemon.vkey())
    expect(got.stderr).toBe('')
    expect(got.stdout).toContain('key pinned by --vkey')
    expect(got.code).toBe(0)
    const diff = await run('diff', ['-r', '--no-dereference', tree, join(base, 'out/tree')])
    expect(diff).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(existsSync(join(base, 'out/tree/odd/empty directory'))).toBe(true)
  })

  it('gets one record, a prefix, and everything unverified', async () => {
    const one = await cli('get', '--id', 'tree/odd/json.json', '--vkey', await daemon.vkey())
    expect(one).toMatchObject({ code: 0, stdout: '{ "b": 1, "a": [1.0, 2] }\n' })
    const named = await json('get', '--id', 'tree/odd/Grüße & \'quotes\' "%2F" #?.txt')
    expect(named).toMatchObject({ payload_base64: 'eA==', verified: true })
    const { cursor } = await json('get', '--id', 'tree/odd/split')
    expect(await json('get', '--cursor', String(cursor), '--out', 'one')).toMatchObject({ written: 1 })
    expect(await readFile(join(base, 'one/tree/odd/split'))).toEqual(await readFile(join(tree, 'odd/split')))
    expect(await json('get', '--prefix', 'tree/odd/', '--out', 'odd')).toMatchObject({
      written: 7,
      verified: true,
    })
    expect(await json('get', '--all', '--no-verify', '--out', 'raw')).toMatchObject({
      written: count,
      verified: false,
    })
    expect(await run('diff', ['-r', '--no-dereference', tree, join(base, 'raw/tree')])).toMatchObject({
      code: 0,
    })
    expect((await cli('get', '--id', 'tree/odd/none')).code).toBe(3)
  })

  it('lists them', async () => {
    const listed = await cli('ls')
    expect(listed.code).toBe(0)
    expect(listed.stdout.trimEnd().split('\n')).toHaveLength(count)
    const long = await cli('ls', '--json', '--since', '10')
    const [first] = long.stdout.split('\n')
    expect(JSON.parse(first ?? '')).toMatchObject({ type: expect.any(String), bytes: expect.any(Number) })
  })

  it('verifies over HTTP and in the directory of the running daemon, the audit sub-ledger too', async () => {
    for (const place of [daemon.url, daemon.prefix, daemon.dir]) {
      const report = await json('verify', place, '--vkey', await daemon.vkey())
      expect(report).toMatchObject({ ok: true, records: count, pinned: true, problems: [] })
      expect(report['audit'], place).toMatchObject({ ok: true, problems: [] })
    }
  })

  it('proves a record, whole or split, and not a changed one', async () => {
    await writeFile(join(base, 'policy'), `log ${await daemon.vkey()}\nquorum none\n`)
    for (const id of ['tree/odd/json.json', 'tree/odd/split', 'tree/odd/empty']) {
      expect(await cli('proof', '--id', id, '--out', 'a.tlog-proof')).toMatchObject({ code: 0 })
      const check = (record: string): Promise<Finished> =>
        cli('verify-proof', 'a.tlog-proof', '--record', record, '--policy', 'policy')
      const held = await check(id)
      expect(held.stderr).toBe('')
      expect(held.code).toBe(0)
      await copyFile(join(base, id), join(base, 'changed'))
      await writeFile(join(base, 'changed'), '!', { flag: 'a' })
      const changed = await check('changed')
      expect(changed.code).toBe(1)
      expect(changed.stderr.trimEnd().split('\n')).toHaveLength(1)
    }
  })

  it('names the files that it cannot append, and appends the others', async () => {
    const mixed = join(base, 'mixed')
    await mkdir(join(mixed, 'deep'), { recursive: true })
    await writeFile(join(mixed, 'deep/fine'), 'x')
    await writeFile(join(mixed, 'large'), '')
    await truncate(join(mixed, 'large'), 17 * 1024 * 1024)
    const long = join(mixed, 'l'.repeat(250), 'ong')
    await mkdir(dirname(long), { recursive: true })
    await writeFile(long, 'x')
    const socket = createServer().listen(join(mixed, 'socket'))
    await once(socket, 'listening')
    const done = await cli('append', 'mixed')
    socket.close()
    expect(done.code).toBe(3)
    expect(done.stdout).toContain('1 appended')
    for (const name of ['large', 'ong', 'socket']) expect(done.stderr).toMatch(new RegExp(`${name}: `))
    expect(done.stderr.trimEnd().split('\n')).toHaveLength(3)
    await writeFile(join(mixed, 'deep/fine'), 'y')
    const conflict = await cli('append', 'mixed/deep', '--prefix', 'mixed/')
    expect(conflict.code).toBe(3)
    expect(conflict.stderr).toContain('mixed/deep/fine')
  })

  it('appends standard input', async () => {
    const env = { FS_URL: daemon.prefix }
    const args = ['append', '-', '--id', 'from stdin', '--type', 'text/plain']
    expect(await serviceFsCommand(args, { env, stdin: 'piped' })).toMatchObject({ code: 0, stderr: '' })
    expect(await serviceFsCommand(['get', '--id', 'from stdin'], { env })).toMatchObject({
      code: 0,
      stdout: 'piped',
    })
  })

  it('exits with 2 for wrong usage, 3 without a server or for another tenant, 1 for another key', async () => {
    expect((await cli('append')).code).toBe(2)
    expect((await cli('get', '--all')).code).toBe(2)
    expect((await cli('nonsense')).code).toBe(2)
    const away = await cli('ls', '--url', 'http://127.0.0.1:9')
    expect(away.code).toBe(3)
    expect(away.stderr).toMatch(/^service-fs: no answer from http:\/\/127\.0\.0\.1:9\/.*\n$/)
    expect((await cli('ls', '--module-id', 'other')).code).toBe(3)
    const key = await cli('keygen', '--name', 'service-fs.local/ledger/other', '--out', 'other.key')
    expect(key.code).toBe(0)
    expect((await cli('verify', daemon.url, '--vkey', key.stdout.trim())).code).toBe(1)
    expect((await cli('verify', daemon.dir, '--vkey', key.stdout.trim())).code).toBe(1)
  })

  it('finds one changed byte in the directory, and names the place', async () => {
    await daemon.kill()
    expect(await json('verify', daemon.dir)).toMatchObject({ ok: true })
    const copy = join(base, 'copy')
    await run('cp', ['-r', daemon.dir, copy])
    const bundle = join(copy, 'tile/entries/003.b64')
    const text = await readFile(bundle, 'latin1')
    await run('chmod', ['-R', 'u+w', copy])
    await writeFile(bundle, text.slice(0, 100) + (text[100] === 'A' ? 'B' : 'A') + text.slice(101), 'latin1')
    const found = await cli('verify', copy)
    expect(found.code).toBe(1)
    expect(found.stderr).toContain('tile/entries/003.b64 line 1 (entry 768): expected leaf hash ')
  })
})
