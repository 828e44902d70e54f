// Records that are wrong although the tree holds them and its checkpoint is signed: verify, verify.sh and the Python verifier agree.
import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeLedger, testRecords, type TestLedger } from '@service-fs/client/testing'
import { verifyDirectory } from '@service-fs/client/verify-directory'
import { CLOCK_TYPE, correctionPayload } from '@service-fs/format/clock-correction'
import { entriesOf } from '@service-fs/format/entry'
import { nativeCodec, sha256Hex } from '@service-fs/native/native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runVerifier } from './verifier.ts'

let work = ''

beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'service-fs-records-'))
})

afterAll(() => rmSync(work, { recursive: true, force: true }))

const TIME = '2026-11-22T00:00:01.000Z'

function entry(header: readonly string[], payload: string | Uint8Array = 'x'): Uint8Array {
  return Buffer.concat([
    Buffer.from(['service-fs/entry/v1', ...header, '', ''].join('\n'), 'latin1'),
    Buffer.from(payload),
  ])
}

const plain = (id: string, time: string = TIME, ...fields: string[]): Uint8Array =>
  entry([`id: ${id}`, 'type: text/plain', `time: ${time}`, ...fields])

const split = (payload: Uint8Array): Uint8Array[] =>
  entriesOf({ id: 'big', type: 'text/plain', time: TIME, payload }, sha256Hex)

const [part1, part2, part3] = split(Buffer.alloc(61_440 * 2 + 5, 'x')) as [Uint8Array, Uint8Array, Uint8Array]
const otherParts = split(Buffer.alloc(61_440 * 2 + 5, 'y'))

/** Entries after a plain record `first`, whose time is TIME. */
const clock = (now: string, newest: string, time = now): Uint8Array =>
  Buffer.concat([
    entry([`id: clock`, `type: ${CLOCK_TYPE}`, `time: ${time}`], ''),
    correctionPayload({ newest, now, reason: 'it "ran" ahead', subject: 'op', request_id: 'r' }, nativeCodec),
  ])

const RIGHT: Record<string, Uint8Array[]> = {
  'a split record': [part1, part2, part3, plain('b')],
  'fields in order': [plain('b', TIME, 'a: ', 'a-b: x', 'aa: \u00c3\u00a4')],
  'a leap day': [plain('b', '2028-02-29T23:59:59.999Z')],
  'an id of 256 bytes': [plain('i'.repeat(256))],
  'a header of 4095 bytes': [plain('b', TIME, `f: ${'x'.repeat(4095 - 79)}`)],
  'an entry of 65535 bytes': [entry(['id: b', 'type: t', `time: ${TIME}`], new Uint8Array(65_535 - 66))],
  'a correction of the clock': [
    clock('2025-01-01T00:00:00.000Z', TIME),
    plain('b', '2025-01-01T00:00:00.001Z'),
  ],
}

const WRONG: Record<string, Uint8Array[]> = {
  'an id twice': [plain('first')],
  'a time that goes back': [plain('b', '2026-11-22T00:00:00.999Z')],
  'a day that does not exist': [plain('b', '2027-02-29T00:00:00.000Z')],
  'an hour of 24': [plain('b', '2026-12-01T24:00:00.000Z')],
  'a time in another form': [plain('b', '2026-12-01 00:00:00.000Z')],
  'no id': [plain('')],
  'an id of 257 bytes': [plain('i'.repeat(257))],
  'a type of 256 bytes': [entry(['id: b', `type: ${'t'.repeat(256)}`, `time: ${TIME}`])],
  'a control character in an id': [plain('b\u0007')],
  'DEL in an id': [plain('b\u007f')],
  'a C1 control character in an id': [plain('b\u00c2\u0085')],
  'an id that is not UTF-8': [plain('b\u00ff')],
  'an overlong character in an id': [plain('b\u00c0\u00af')],
  'a surrogate in an id': [plain('b\u00ed\u00a0\u0080')],
  'a character cut off in an id': [plain('b\u00e2\u0082')],
  'another first line': [
    Buffer.from('service-fs/entry/v2\nid: b\ntype: t\ntime: 2026-12-01T00:00:00.000Z\n\n'),
  ],
  'type before id': [entry(['type: t', 'id: b', `time: ${TIME}`])],
  'no end of the header': [Buffer.from(`service-fs/entry/v1\nid: b\ntype: t\ntime: ${TIME}\n`)],
  'a header of 4096 bytes': [plain('b', TIME, `f: ${'x'.repeat(4096 - 79)}`)],
  'fields out of order': [plain('b', TIME, 'b: 1', 'a: 1')],
  'a field twice': [plain('b', TIME, 'a: 1', 'a: 1')],
  'a field without a value': [plain('b', TIME, 'a:')],
  'a field with another name': [plain('b', TIME, 'A: 1')],
  'the field time again': [plain('b', TIME, 'time: 1')],
  'a later part without the first part': [part2, plain('b')],
  'a part that is missing': [part1, part3, plain('b')],
  'a part that is missing at the end': [part1, part2],
  'parts in another order': [part1, part3, part2],
  'a record between parts': [part1, plain('b'), part2, part3],
  'a part of another record': [part1, otherParts[1] ?? part2, part3],
  'a wrong length': [plain('b', TIME, 'length: 70000', 'parts: 3', `sha256: ${'0'.repeat(64)}`)],
  'parts without length': [plain('b', TIME, 'parts: 2')],
  'a correction with another time': [clock('2025-01-01T00:00:00.000Z', TIME, '2025-01-01T00:00:00.001Z')],
  'a correction of an older time': [clock('2025-01-01T00:00:00.000Z', '2026-11-22T00:00:00.999Z')],
}

let made = 0

async function make(ledger: TestLedger): Promise<string> {
  const dir = join(work, `${made++}`)
  await makeLedger(dir, ledger)
  return dir
}

/** Returns the verdicts of verify, verify.sh and the Python verifier. */
async function verdicts(dir: string): Promise<Record<string, unknown>> {
  const report = await verifyDirectory(dir)
  const sh = spawnSync('sh', [join(dir, 'verify.sh')], { encoding: 'utf8' })
  const python = runVerifier(dir)
  return {
    verify: report.ok,
    sh: sh.status === 0 ? true : sh.status === 1 && sh.stderr.includes('FALSE: ') ? false : sh.stderr,
    ...(python.error === undefined
      ? { python: python.status === 0 ? true : python.stderr.startsWith('FALSE: ') ? false : python.stderr }
      : {}),
  }
}

function expectAll(said: Record<string, unknown>, verdict: boolean): void {
  expect(said).toEqual(Object.fromEntries(Object.keys(said).map((name) => [name, verdict])))
}

describe('records that a signed tree holds', () => {
  it.each(Object.entries(RIGHT))('are true: %s', async (_, entries) => {
    for (const tail of ['grow', 'export'] as const)
      expectAll(await verdicts(await make({ entries: [plain('first'), ...entries], tail })), true)
  })

  it.each(Object.entries(WRONG))('are false: %s', async (_, entries) => {
    expectAll(await verdicts(await make({ entries: [plain('first'), ...entries], tail: 'export' })), false)
  })
})

/** Returns the path of the newest tail file. */
function tailOf(dir: string): string {
  return join(dir, 'tail', readdirSync(join(dir, 'tail')).at(-1) ?? '')
}

describe('the end of a tail file', () => {
  const ledger = { records: testRecords(30), commit: 10 }

  it('may be fill', async () => {
    for (const fill of ['\0'.repeat(700), '\n'.repeat(700), '\n\0\n\0']) {
      const dir = await make(ledger)
      appendFileSync(tailOf(dir), fill)
      expectAll(await verdicts(dir), true)
    }
  })

  it('accepts a torn commit at the end of a tail file if the checkpoint does not cover it', async () => {
    const dir = await make(ledger)
    const text = readFileSync(tailOf(dir))
    const before = await make({ ...ledger, records: testRecords(20) })
    writeFileSync(join(dir, 'checkpoint'), readFileSync(join(before, 'checkpoint')))
    const start = readFileSync(tailOf(before)).length
    for (let end = start + 1; end < text.length; end += 97) {
      writeFileSync(tailOf(dir), text)
      truncateSync(tailOf(dir), end)
      expectAll(await verdicts(dir), true)
    }
    // Sectors that were never written.
    const holed = Buffer.from(text)
    const sector = Math.ceil(start / 512) * 512
    holed.fill(0, sector, sector + 512)
    writeFileSync(tailOf(dir), holed)
    expectAll(await verdicts(dir), true)
    // A whole commit with a changed byte.
    const changed = Buffer.from(text)
    changed[sector] = (changed[sector] ?? 0) ^ 1
    writeFileSync(tailOf(dir), changed)
    expectAll(await verdicts(dir), false)
  })

  it('rejects a tail file that ends before the checkpoint', async () => {
    const dir = await make(ledger)
    truncateSync(tailOf(dir), readFileSync(tailOf(dir)).length - 5)
    expectAll(await verdicts(dir), false)
  })
})
