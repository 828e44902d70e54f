// The command lines of the units for mirrors and drills, as systemd reads them. test/packaging/booted.test.ts starts them by their timers.
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { serviceFs, serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'
import { run, type Finished } from '../support/process.ts'
import { repoRoot } from '../support/root.ts'

let work = ''
let daemon: Daemon
let keys: Record<string, string> = {}
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'service-fs-units-'))
  daemon = await startDaemon({ moduleId: 'acme' })
  const audit = await readFile(join(daemon.dir, 'audit/keys/ed25519.vkey'), 'utf8')
  keys = { VKEY: await daemon.vkey(), AUDIT_VKEY: audit.trim() }
})
afterAll(async () => {
  await daemon.dispose()
  await rm(work, { recursive: true, force: true })
})

/** Returns the words of a command in a unit. */
async function wordsOf(unit: string, command: string, env: Record<string, string>): Promise<string[]> {
  const text = await readFile(join(repoRoot, 'packaging/systemd', unit), 'utf8')
  const line = new RegExp(`^${command}=(.*)$`, 'm').exec(text)?.[1] ?? ''
  return line.split(' ').map((word) =>
    word.replaceAll(/\$\{(\w+)\}/g, (_, name: string) => {
      expect(Object.keys(env)).toContain(name)
      return env[name] ?? ''
    }),
  )
}

/** Runs the `ExecStart` of a unit with the variables of its configuration file and its directory, as systemd.service(5) describes. */
async function start(unit: string, variables: Record<string, string>): Promise<Finished> {
  const env = { ...keys, ...variables }
  const [program, ...args] = await wordsOf(unit, 'ExecStart', env)
  expect(program).toBe('/usr/bin/service-fs')
  return run(process.execPath, [serviceFs, ...args], { env })
}

it('the units mirror a ledger, drill its export, and report a corrupt one', async () => {
  const headers = { 'content-type': 'application/json' }
  const body = JSON.stringify({ payload_id: 'a', payload: 1 })
  expect((await daemon.fetch('v1/append', { method: 'POST', headers, body })).status).toBe(200)

  const state = join(work, 'mirror')
  const mirrored = await start('service-fs-mirror@.service', {
    SOURCE: daemon.prefix,
    STATE_DIRECTORY: state,
  })
  expect([mirrored.code, mirrored.stderr]).toEqual([0, ''])
  expect(JSON.parse(mirrored.stdout)).toMatchObject({ size: 1, pinned: true, audit: { pinned: true } })

  const [exports, scratch] = [join(work, 'exports'), join(work, 'scratch')]
  for (const dir of [exports, scratch]) await mkdir(dir)
  expect((await serviceFsCommand(['export', state, '--out', join(exports, '1.tar')])).code).toBe(0)
  const drill = (): Promise<Finished> =>
    start('service-fs-drill@.service', { EXPORTS: exports, FS_URL: daemon.prefix, CACHE_DIRECTORY: scratch })
  const passed = await drill()
  expect([passed.code, passed.stderr]).toEqual([0, ''])
  expect(JSON.parse(passed.stdout)).toMatchObject({ outcome: 'passed', record: { cursor: 2 } })

  const good = await readFile(join(exports, '1.tar'))
  await writeFile(join(exports, '2.tar'), good.subarray(0, 5000))
  const failed = await drill()
  expect([failed.code, failed.stderr]).toEqual([1, expect.stringContaining('the drill failed: ')])
  expect(JSON.parse(failed.stdout)).toMatchObject({ outcome: 'failed', record: { cursor: 3 } })
  expect(await readFile(join(exports, '1.tar'))).toEqual(good)
})

it('the unit of drills removes what a killed drill left, and nothing else', async () => {
  const scratch = join(work, 'left')
  await mkdir(join(scratch, 'drill-abc/ledger/tile'), { recursive: true })
  await writeFile(join(scratch, 'drill-abc/ledger/tile/a'), '', { mode: 0o444 })
  await writeFile(join(work, 'other'), '')
  await symlink(work, join(scratch, 'drill-link'))
  const [program = '', ...args] = await wordsOf('service-fs-drill@.service', 'ExecStopPost', {
    CACHE_DIRECTORY: scratch,
  })
  expect(await run(program, args)).toMatchObject({ code: 0, stderr: '' })
  expect(await readdir(scratch)).toEqual([])
  expect(await readdir(work)).toContain('other')
})
