import { chmod, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { startChild } from './child.ts'
import { canConfine, checkReadable, confined } from './confine.ts'

let dir: string
beforeEach(async () => {
  dir = await realpath(await mkdtemp(join(tmpdir(), 'confine-')))
})
afterEach(() => rm(dir, { recursive: true }))

const SHOW = `
  const status = require('node:fs').readFileSync('/proc/self/status', 'latin1')
  const limits = require('node:fs').readFileSync('/proc/self/limits', 'latin1')
  const of = (text, name) => text.split('\\n').find((line) => line.startsWith(name)).slice(name.length).trim()
  console.log(JSON.stringify({
    uid: of(status, 'Uid:'), groups: of(status, 'Groups:'), effective: of(status, 'CapEff:'), bounding: of(status, 'CapBnd:'),
    ambient: of(status, 'CapAmb:'), noNewPrivs: of(status, 'NoNewPrivs:'),
    files: of(limits, 'Max open files'), core: of(limits, 'Max core file size'), env: Object.keys(process.env).sort(), cwd: process.cwd(),
  }))
`
const NONE = '0000000000000000'
const isRoot = process.getuid?.() === 0

it.skipIf(!canConfine())(
  'the host starts a process without privileges and without the environment',
  async () => {
    process.env['FS_TOKEN'] = 'secret'
    const child = startChild([process.execPath, '-e', SHOW], { openFiles: 256 })
    expect(await child.ready).toMatchObject({
      noNewPrivs: '1',
      files: '256                  256                  files',
      cwd: '/',
    })
    expect((await child.ready) as { env: string[] }).not.toMatchObject({
      env: expect.arrayContaining(['FS_TOKEN']),
    })
    delete process.env['FS_TOKEN']
    expect(await child.ended).toEqual({ code: 0, signal: null })
  },
)

it.skipIf(!canConfine() || !isRoot)(
  `the host runs the process as another user${isRoot ? '' : ' (skipped: not root)'}`,
  async () => {
    const owner = { uid: 64_321, gid: 64_322 }
    const child = startChild([process.execPath, '-e', SHOW], { openFiles: 256, owner })
    const uid = '64321\t64321\t64321\t64321'
    const nothing = { groups: '', effective: NONE, bounding: NONE, ambient: NONE, noNewPrivs: '1' }
    expect(await child.ready).toMatchObject({ uid, ...nothing })
    const low = startChild([process.execPath, '-e', SHOW], { openFiles: 256, owner, lowPorts: true })
    expect(await low.ready).toMatchObject({
      uid,
      effective: '0000000000000400',
      bounding: '0000000000000400',
    })
    await Promise.all([child.ended, low.ended])
  },
)

it('a start rejects when the process ends before it is ready', async () => {
  const child = startChild([process.execPath, '-e', 'process.exit(7)'], { openFiles: 256 })
  await expect(child.ready).rejects.toMatchObject({
    code: 'start',
    message: expect.stringContaining('status 7'),
  })
  const other = startChild([process.execPath, '-e', 'console.log("hello"); setInterval(() => 0, 1000)'], {
    openFiles: 256,
  })
  await expect(other.ready).rejects.toMatchObject({
    code: 'start',
    message: expect.stringContaining('hello'),
  })
  expect(await other.stop(5000)).toEqual({ code: null, signal: 'SIGTERM' })
})

it('the host kills a process that does not stop', async () => {
  const script = 'process.on("SIGTERM", () => 0); console.log("{}"); setInterval(() => 0, 1000)'
  const child = startChild([process.execPath, '-e', script], { openFiles: 256 })
  await child.ready
  expect(await child.stop(200)).toEqual({ code: null, signal: 'SIGKILL' })
})

it('the host has Node.js switch the user on systems other than Linux', () => {
  const linux = Object.getOwnPropertyDescriptor(process, 'platform')
  Object.defineProperty(process, 'platform', { value: 'freebsd' })
  try {
    const started = confined(['node', 'x'], { openFiles: 256, owner: { uid: 5, gid: 6 } })
    expect(started).toEqual({ command: 'node', args: ['x'], options: { uid: 5, gid: 6 } })
  } finally {
    if (linux !== undefined) Object.defineProperty(process, 'platform', linux)
  }
})

it('the host names the directory that other users cannot search', async () => {
  await mkdir(join(dir, 'a'))
  await writeFile(join(dir, 'a/program'), '')
  await chmod(dir, 0o700)
  expect(() => checkReadable(join(dir, 'a/program'))).toThrow(`${dir}: its mode`)
  await chmod(dir, 0o711)
  checkReadable(join(dir, 'a/program'))
  await chmod(join(dir, 'a/program'), 0o600)
  expect(() => checkReadable(join(dir, 'a/program'))).toThrow(`${dir}/a/program: its mode`)
})
