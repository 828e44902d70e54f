import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { DUTY_FIELD, DUTY_TYPE, dutyPayload, RETAIN_FIELD, type Duty } from '@service-fs/format/duty'
import type { RecordContent } from '@service-fs/format/entry'
import { nativeCodec } from '@service-fs/native/native'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { problemText } from './problems.ts'
import { retentionReport, withTrustedTree, type RetentionLine } from './retention.ts'
import { makeLedger, remove, serveDirectory, temporary, testRecords, testSigner } from './testing.ts'
import { verifyPlace } from './verify-place.ts'

let dir: string
beforeEach(async () => {
  dir = await temporary()
})
afterEach(() => remove(dir))

const [Y2030, Y2031, Y2032] = [2030, 2031, 2032].map((year) => `${year}-01-01T00:00:00.000Z`) as [
  string,
  string,
  string,
]
const STATED = { reason: 'r', request_id: 'q', subject: 's' }
const vkeys = [testSigner().vkey]
let duties = 0

/** A record without a time. `record(3)` gives it one. */
type Untimed = Omit<RecordContent, 'time'>

const stated = (duty: Duty): Untimed => ({
  id: `vnd.service-fs.duty/${++duties}`,
  type: DUTY_TYPE,
  fields: [[DUTY_FIELD, duty.duty]],
  payload: dutyPayload(duty, nativeCodec),
})
const retained = (id: string, until: string): Untimed => ({
  id,
  type: 'text/plain',
  fields: [[RETAIN_FIELD, until]],
  payload: Buffer.from(id),
})
const extend = (id: string, index: number, until: string, was?: string): Untimed =>
  stated({
    duty: 'extend',
    payload_id: id,
    index,
    until,
    ...(was === undefined ? {} : { was }),
    ...STATED,
  })

/** Returns `count` plain records, followed by `others`. */
function history(count: number, others: readonly Untimed[]): RecordContent[] {
  return testRecords(count + others.length).map((record, i) => ({ ...record, ...others[i - count] }))
}

async function problemsOf(place: string): Promise<string[]> {
  const report = await verifyPlace(place, { vkeys, withoutAudit: true, threads: 0 })
  return report.problems.map(problemText)
}

const BASE = 300

/** Duties that the rules allow. Entry 300 is `a`, entry 301 `b`. */
const allowed = (): Untimed[] => [
  retained('a', Y2030),
  { id: 'b', type: 'text/plain', payload: Buffer.from('b') },
  stated({ duty: 'policy', prefix: 'record/29', until: Y2031, ...STATED }),
  stated({ duty: 'hold', hold: 'case-1', payload_id: 'b', ...STATED }),
  stated({ duty: 'hold', hold: 'case-2', all: true, ...STATED }),
  extend('a', BASE, Y2031, Y2030),
  extend('b', BASE + 1, Y2030),
  extend('a', BASE, Y2032, Y2031),
  stated({ duty: 'lift', hold: 'case-2', ...STATED }),
]

const wrong: [name: string, later: () => Untimed, expected: string][] = [
  ['a record with a bad time', () => retained('c', 'soon'), 'expected retain-until: RFC 3339'],
  [
    'a policy with a shorter period',
    () => stated({ duty: 'policy', prefix: 'record/29', until: Y2030, ...STATED }),
    `expected until: a time after ${Y2031}, which the policy has, found ${Y2030}`,
  ],
  [
    'a hold with a name that was used',
    () => stated({ duty: 'hold', hold: 'case-2', all: true, ...STATED }),
    'expected hold: a name that no earlier hold has, found case-2',
  ],
  [
    'a second lift',
    () => stated({ duty: 'lift', hold: 'case-2', ...STATED }),
    'expected hold: a hold in force, found case-2, which was lifted',
  ],
  [
    'an extension to an earlier time',
    () => extend('a', BASE, Y2031, Y2032),
    `expected until: a time after ${Y2032}`,
  ],
  [
    'an extension that hides the previous extension',
    () => extend('a', BASE, Y2031, Y2030),
    `expected was: ${Y2032}, of the last extension, found ${Y2030}`,
  ],
  [
    'an extension of a later entry',
    () => extend('z', 9_000, Y2031),
    'expected index: an entry before 309, found 9000',
  ],
  ['an extension of another entry', () => extend('z', 5, Y2031), 'expected index: the entry of "z", found 5'],
  [
    'a duty that is no JSON',
    () => ({ id: 'x', type: DUTY_TYPE, fields: [[DUTY_FIELD, 'hold']], payload: Buffer.from('{') }),
    'expected payload: JSON in UTF-8, found invalid JSON',
  ],
]

describe('the verification of duties', () => {
  it('verify accepts duties that only extend earlier duties, in a directory and at a URL', async () => {
    await makeLedger(dir, { records: history(BASE, allowed()) })
    expect(await problemsOf(dir)).toEqual([])
    const server = await serveDirectory(dir)
    try {
      expect(await problemsOf(server.url)).toEqual([])
    } finally {
      await server.close()
    }
  })

  it.each(wrong)('reports %s', async (_, later, expected) => {
    await makeLedger(dir, { records: history(BASE, [...allowed(), later()]) })
    const server = await serveDirectory(dir)
    try {
      for (const place of [dir, server.url]) {
        const problems = await problemsOf(place)
        expect(problems).toEqual([expect.stringContaining(expected)])
        expect(problems[0]).toContain(`(entry ${BASE + allowed().length})`)
      }
    } finally {
      await server.close()
    }
  })

  it.each([
    ['an earlier time', Y2030, 'none'],
    ['no time', undefined, Y2030],
  ])('verify reports a first extension that claims that its record states %s', async (_, was, own) => {
    const record =
      own === 'none' ? { id: 'c', type: 'text/plain', payload: Buffer.from('c') } : retained('c', own)
    await makeLedger(dir, { records: history(BASE, [record, extend('c', BASE, Y2031, was)]) })
    expect(await problemsOf(dir)).toEqual([
      expect.stringContaining(`expected was: ${own}, of entry ${BASE}, found ${was ?? 'none'}`),
    ])
  })

  it('verify finds a shortened duty in a sealed bundle, with and without threads', async () => {
    const others = [...allowed(), stated({ duty: 'policy', prefix: 'record/29', until: Y2030, ...STATED })]
    const records = [...history(BASE, others), ...testRecords(1000).slice(BASE + others.length)]
    await makeLedger(dir, {
      records: records.map((record, i) => ({ ...record, time: testRecords(1000)[i]!.time })),
    })
    for (const threads of [0, 2]) {
      const { problems, records: count } = await verifyPlace(dir, { vkeys, withoutAudit: true, threads })
      expect([count, problems.map(({ index }) => index)]).toEqual([1000, [BASE + others.length - 1]])
    }
  })

  it('verify.sh also accepts a ledger with duties', async () => {
    await makeLedger(dir, { records: history(BASE, allowed()) })
    const { stdout, stderr } = await promisify(execFile)('sh', [join(dir, 'verify.sh')])
    expect(stdout + stderr).toContain(String(BASE + allowed().length))
  })
})

async function lines(place: string, at: string): Promise<RetentionLine[]> {
  return withTrustedTree(place, { vkeys }, async ({ tree }) => {
    const found: RetentionLine[] = []
    for await (const line of retentionReport(tree, at)) found.push(line)
    return found
  })
}

describe('the retention report', () => {
  it('the retention report lists the duties and the records that must be kept, from a directory and a URL', async () => {
    await makeLedger(dir, { records: history(BASE, allowed()) })
    const server = await serveDirectory(dir)
    try {
      for (const place of [dir, server.url]) {
        const [policy, hold, ...records] = await lines(place, Y2030)
        expect(policy).toMatchObject({
          kind: 'policy',
          policy: { scope: { prefix: 'record/29' }, until: Y2031 },
        })
        expect(hold).toMatchObject({
          kind: 'hold',
          hold: { hold: 'case-1', payload_id: 'b', index: BASE + 3 },
        })
        expect(records.map((line) => line.kind === 'record' && [line.index, line.id, line.kept])).toEqual([
          ...[29, 290, 291, 292, 293, 294, 295, 296, 297, 298, 299].map((i) => [
            i,
            `record/${i}`,
            { until: Y2031, by: 'policy', holds: [] },
          ]),
          [BASE, 'a', { until: Y2032, by: 'extend', holds: [] }],
          [BASE + 1, 'b', { until: Y2030, by: 'extend', holds: ['case-1'] }],
        ])
        const later = (await lines(place, Y2032)).filter(({ kind }) => kind === 'record')
        expect(later).toMatchObject([{ id: 'b' }])
      }
    } finally {
      await server.close()
    }
  })

  it('the retention report lists an entry that breaks a rule, and otherwise ignores the entry', async () => {
    const shorter = stated({ duty: 'policy', prefix: 'record/29', until: Y2030, ...STATED })
    await makeLedger(dir, { records: history(BASE, [...allowed(), shorter]) })
    const [problem, ...rest] = await lines(dir, Y2030)
    expect(problem).toMatchObject({ kind: 'problem', index: BASE + allowed().length })
    expect(rest).toHaveLength(2 + 11 + 2)
  })

  it('the retention report fails if an entry of the ledger differs from the signed tree', async () => {
    await makeLedger(dir, { records: history(BASE, allowed()), tail: 'export' })
    const other = join(dir, 'other')
    await makeLedger(other, {
      records: history(BASE, [retained('x', Y2030), ...allowed().slice(1)]),
      tail: 'export',
    })
    const name = 'tile/entries/001.p/53.b64'
    await promisify(execFile)('cp', [join(other, name), join(dir, name)])
    await remove(other)
    await expect(lines(dir, Y2030)).rejects.toMatchObject({ code: 'false' })
  })
})
