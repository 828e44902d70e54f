// Tests that `service-fs verify` ends with the same report where no worker thread, or only some of them, can start.
import { chmod, cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeLedger, remove, temporary, testRecords } from '@service-fs/client/testing'
import type { LedgerReport } from '@service-fs/client/verify'
import { entriesOf } from '@service-fs/format/entry'
import { sha256Hex } from '@service-fs/native/native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { daemonBuilt } from '../support/daemon.ts'
import { type Finished, run } from '../support/process.ts'
import { repoRoot } from '../support/root.ts'

/** Large enough for threads. */
const SIZE = 140 * 256 + 77
/**
 * A user with no other processes, so that a limit of processes and threads counts those of the command alone. It has
 * the capability to read every file, because the checkout's directory may be closed to other users. access(2) ignores
 * this capability, so the command is copied.
 */
const CAPS = '-all,+dac_read_search'
const AS_USER = [
  ['--reuid', '61234', '--regid', '61234', '--clear-groups'],
  [`--inh-caps=${CAPS}`, `--ambient-caps=${CAPS}`, `--bounding-set=${CAPS}`],
].flat()
/** Node 20 itself hangs below the first limit; it has about ten threads. */
const LIMITS = { least: 7, most: 40 }

/** Prints to standard error how many worker threads have started. */
const COUNTED = `data:text/javascript,${encodeURIComponent(`
import threads from 'node:worker_threads'
import { syncBuiltinESMExports } from 'node:module'
if (threads.isMainThread) {
  let online = 0
  threads.Worker = class extends threads.Worker {
    constructor(...args) {
      super(...args)
      this.once('online', () => (online += 1))
    }
  }
  syncBuiltinESMExports()
  process.on('exit', () => process.stderr.write('threads: ' + online + '\\n'))
}
`)}`

let work = ''
let dir = ''
let script = ''
let expected: { report: LedgerReport; threads: number }

beforeAll(async () => {
  expect(daemonBuilt).toBe(true)
  work = await temporary()
  dir = join(work, 'ledger')
  await makeLedger(dir, {
    entries: testRecords(SIZE).flatMap((content) => entriesOf(content, sha256Hex)),
    tail: 'export',
  })
  const bundle = join(dir, 'tile/entries/100.b64')
  const bytes = await readFile(bundle)
  bytes[200] = bytes[200] === 0x41 ? 0x42 : 0x41
  await writeFile(bundle, bytes)
  const app = join(work, 'app')
  await mkdir(app)
  for (const part of ['bin', 'dist'])
    await cp(join(repoRoot, 'app', part), join(app, part), { recursive: true })
  await symlink(join(repoRoot, 'app/node_modules'), join(app, 'node_modules'))
  await chmod(work, 0o755)
  script = join(app, 'bin/service-fs.js')
  const all = await verified(process.execPath, [])
  expected = { report: reportOf(all), threads: threadsOf(all) }
})
afterAll(() => remove(work))

/** Runs `verify` in Node with these flags; `command` starts Node. */
function verified(
  command: string,
  before: readonly string[],
  flags: readonly string[] = [],
): Promise<Finished> {
  const node = command === process.execPath ? [] : [process.execPath]
  const args = [...node, ...flags, '--import', COUNTED, script, 'verify', dir, '--json']
  return run(command, [...before, ...args])
}

function reportOf({ stdout }: Finished): LedgerReport {
  return JSON.parse(stdout) as LedgerReport
}

function threadsOf({ stderr }: Finished): number {
  return Number(/threads: (\d+)/.exec(stderr)?.[1])
}

const permission = ['--permission', '--experimental-permission'].find((flag) =>
  process.allowedNodeEnvironmentFlags.has(flag),
)
const isRoot = process.getuid?.() === 0

describe('verify without worker threads', () => {
  it('starts threads and finds the changed bundle where nothing prevents it', () => {
    expect(expected.threads).toBeGreaterThan(0)
    expect(expected.report).toMatchObject({ size: SIZE, ok: false, problemCount: 2 })
  })

  it.skipIf(permission === undefined)(
    `gives the same report under Node's permission model${permission === undefined ? ' (skipped: Node has none)' : ''}`,
    async () => {
      const flags = [permission ?? '', '--allow-fs-read=*']
      const done = await verified(process.execPath, [], flags)
      expect(done).toMatchObject({ code: 1, timedOut: false })
      expect(reportOf(done)).toEqual(expected.report)
      expect(threadsOf(done)).toBe(0)
    },
    120_000,
  )

  it.skipIf(!isRoot)(
    `gives the same report at every limit of threads at which Node starts${isRoot ? '' : ' (skipped: not root)'}`,
    async () => {
      const seen = new Set<number>()
      for (let most = LIMITS.least; most <= LIMITS.most && !seen.has(expected.threads); most++) {
        const done = await verified('setpriv', [...AS_USER, 'prlimit', `--nproc=${most}`])
        expect({ most, timedOut: done.timedOut }).toEqual({ most, timedOut: false })
        // Node itself fails at the lowest limits.
        if (done.stdout === '') continue
        expect({ most, report: reportOf(done) }).toEqual({ most, report: expected.report })
        expect({ most, code: done.code }).toEqual({ most, code: 1 })
        seen.add(threadsOf(done))
      }
      expect([...seen].some((threads) => threads < expected.threads)).toBe(true)
      expect([...seen]).toContain(expected.threads)
    },
    300_000,
  )
})
