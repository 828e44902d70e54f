// Verifies a ledger that is large enough for worker threads by the built command, and compares its reports with those
// of one thread.
import { readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { entriesOf, type RecordContent } from '@service-fs/format/entry'
import { sha256Hex } from '@service-fs/native/native'
import { makeLedger, remove, runTar, temporary, testRecords } from '@service-fs/client/testing'
import { verifyPlace } from '@service-fs/client/verify-place'
import type { LedgerReport } from '@service-fs/client/verify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { daemonBuilt, serviceFs } from '../support/daemon.ts'
import { run } from '../support/process.ts'

const SIZE = 140 * 256 + 77

/** Counts the threads that the main thread starts, and prints their number to standard error. */
const COUNTED = `data:text/javascript,${encodeURIComponent(`
import threads from 'node:worker_threads'
import { syncBuiltinESMExports } from 'node:module'
if (threads.isMainThread) {
  let started = 0
  threads.Worker = class extends threads.Worker {
    constructor(...args) {
      super(...args)
      started += 1
    }
  }
  syncBuiltinESMExports()
  process.on('exit', () => process.stderr.write('threads: ' + started + '\\n'))
}
`)}`

let work = ''
let dir = ''

beforeAll(async () => {
  expect(daemonBuilt).toBe(true)
  work = await temporary()
  dir = join(work, 'ledger')
  const records = testRecords(SIZE)
  const at = (i: number): RecordContent => records[i] as RecordContent
  const twice: RecordContent = { ...at(20_000), id: at(5).id }
  const back: RecordContent = { ...at(25_000), time: at(24_000).time }
  const large: RecordContent = { ...at(10_237), id: 'large', payload: Buffer.alloc(300_000, 'large ') }
  const entries = records.flatMap((content, i) =>
    entriesOf(i === 20_000 ? twice : i === 25_000 ? back : content, sha256Hex),
  )
  // The parts of the record `large` lie in two bundles.
  entries.splice(10_238, 5, ...entriesOf(large, sha256Hex))
  entries[12_345] = Buffer.from('not an entry')
  await makeLedger(dir, { entries, tail: 'export' })
})
afterAll(() => remove(work))

async function verified(place: string): Promise<{ report: LedgerReport; threads: number }> {
  const args = ['--import', COUNTED, serviceFs, 'verify', place, '--json']
  const { stdout, stderr } = await run(process.execPath, args)
  return { report: JSON.parse(stdout) as LedgerReport, threads: Number(/threads: (\d+)/.exec(stderr)?.[1]) }
}

async function change(path: string, to: (bytes: Buffer) => Buffer): Promise<void> {
  const file = join(dir, path)
  await writeFile(file, to(await readFile(file)))
}

function flipped(at: number): (bytes: Buffer) => Buffer {
  return (bytes) => {
    bytes[at] = bytes[at] === 0x41 ? 0x42 : 0x41
    return bytes
  }
}

/** Verifies in threads, in this thread bundle by bundle, and in this thread entry by entry. Returns the report that all of them gave. */
async function agreed(place = dir): Promise<LedgerReport> {
  const { report, threads } = await verified(place)
  expect(threads).toBeGreaterThan(0)
  expect(await verifyPlace(place, { threads: 0 })).toEqual(report)
  expect(await verifyPlace(place, { each: () => undefined })).toEqual(report)
  return report
}

describe('verify in threads', () => {
  it('reports the same faults of records as one thread does, from a directory and from an archive', async () => {
    const report = await agreed()
    const found = report.problems.map(({ file, line, index, expected }) => [index, file, line, expected])
    expect(found).toEqual([
      [12_345, 'tile/entries/048.b64', 58, expect.stringContaining('an empty line')],
      [25_000, 'tile/entries/097.b64', 169, expect.stringContaining('a time not before')],
      [20_000, 'tile/entries/078.b64', 33, 'an id that no earlier record has'],
    ])
    expect(report).toMatchObject({ size: SIZE, entries: SIZE, records: SIZE - 5, ok: false })
    await runTar(work, '-cf', 'ledger.tar', 'ledger')
    const archived = await agreed(join(work, 'ledger.tar'))
    expect(archived.problems.slice(0, 2)).toEqual(report.problems.slice(0, 2))
    expect(archived.problemCount).toBe(report.problemCount)
  })

  it('reports the same damaged files as one thread does, the first bundle first', async () => {
    await change('tile/entries/100.b64', flipped(200))
    await change('tile/entries/007.b64', flipped(500))
    await change('tile/0/030.b64', flipped(50))
    await change('tile/entries/120.b64', (bytes) => bytes.subarray(0, -1))
    await unlink(join(dir, 'tile/0/050.b64'))
    const report = await agreed()
    const walked = report.problems.filter(({ expected }) => !expected.startsWith('an id'))
    const bundles = [...new Set(walked.map(({ file }) => bundleOf(file)))]
    expect(bundles).toEqual([7, 30, 48, 50, 97, 100, 120])
  })
})

function bundleOf(file: string): number {
  return Number(/(\d{3})\.b64$/.exec(file)?.[1])
}
