// Appends directories with more files than the command reads without threads, and compares what comes back.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { filesBelow } from '@service-fs/client/testing'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { serviceFs, serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'
import { run, sleep } from '../support/process.ts'

let dir = ''
let daemon: Daemon

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'append-files-'))
  daemon = await startDaemon()
})
afterAll(async () => {
  await daemon.dispose()
  rmSync(dir, { recursive: true, force: true })
})

/** Writes files of many sizes: empty, small, larger than a thread keeps, and larger than an entry holds. */
function writeTree(at: string): number {
  const sizes = [0, 1, 200, 4095, 4096, 4097, 65_535, 70_000]
  let count = 0
  for (let folder = 0; folder < 4; folder++) {
    mkdirSync(join(at, `folder ${folder}/ü`), { recursive: true })
    for (let i = 0; i < 160; i++, count++)
      writeFileSync(
        join(at, `folder ${folder}/${i}.txt`),
        Buffer.alloc(sizes[i % sizes.length] ?? 0, `${count},`),
      )
  }
  for (const size of [2 ** 20 - 1, 2 ** 20, 2 ** 20 + 1, 3_000_000])
    writeFileSync(join(at, `folder 3/size-${size}`), Buffer.alloc(size, String(count++)))
  symlinkSync('../folder 0/1.txt', join(at, 'folder 3/link'))
  // Four directories are empty.
  return count + 1 + 4
}

it('append appends the content of every file, whichever way it is read', async () => {
  const at = join(dir, 'tree')
  const count = writeTree(at)
  execFileSync('mkfifo', [join(at, 'folder 2/fifo')])
  // Threads read only files that have not changed for 0.3 s.
  await sleep(500)
  const url = ['--url', daemon.prefix]
  const { code, stdout, stderr } = await serviceFsCommand(['append', at, '--json', ...url])
  expect(code, stderr).toBe(3)
  const result = JSON.parse(stdout)
  expect(result).toMatchObject({ records: count, appended: count, duplicates: 0 })
  expect(result.refused).toEqual([
    { name: join(at, 'folder 2/fifo'), reason: 'expected a file, a directory or a symbolic link' },
  ])
})

function counted(appended: number, there: number): string {
  return `2 records (21 bytes): ${appended} appended, ${there} there already, 1 could not be appended\n`
}

it('append reads NDJSON from a pipe and from a file, names bad lines, and prints nothing but the result', async () => {
  const lines = join(dir, 'lines.ndjson')
  writeFileSync(
    lines,
    '{"payload_id":"n/1","payload":{"b":1,"a":[]}}\n{"payload_id":"n/2"}\n{"payload":"no id"}\n',
  )
  await sleep(400)
  const command = `'${process.execPath}' '${serviceFs}' append - --url '${daemon.prefix}'`
  const results: [number | null, string, string][] = []
  for (const from of [`cat '${lines}' | ${command}`, `${command} < '${lines}'`]) {
    const { code, stdout, stderr } = await run('sh', ['-c', from])
    results.push([code, stdout, stderr])
  }
  const reason = 'service-fs: line 2: payload: expected either payload or payload_base64, found none\n'
  expect(results).toEqual([
    [3, counted(2, 0), reason],
    [3, counted(0, 2), reason],
  ])
  const got = await serviceFsCommand(['get', '--id', 'n/1', '--url', daemon.prefix])
  expect(got.stdout).toBe('{"a":[],"b":1}')
  const listed = await serviceFsCommand(['ls', '--url', daemon.prefix])
  expect(listed.stdout).toMatch(/\n3-[0-9a-f]{32}\n/)
})

it('append restores the appended directory', async () => {
  const out = join(dir, 'out')
  const { code, stderr } = await serviceFsCommand([
    'get',
    '--prefix',
    'tree/',
    '--out',
    out,
    '--url',
    daemon.prefix,
  ])
  expect(code, stderr).toBe(0)
  rmSync(join(dir, 'tree/folder 2/fifo'))
  expect(await filesBelow(join(out, 'tree'))).toEqual(await filesBelow(join(dir, 'tree')))
  expect(readFileSync(join(out, 'tree/folder 3/link'), 'utf8')).toBe(
    readFileSync(join(dir, 'tree/folder 0/1.txt'), 'utf8'),
  )
})
