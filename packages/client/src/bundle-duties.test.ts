import { DUTY_FIELD, DUTY_TYPE, dutyPayload, RETAIN_FIELD, type Duty } from '@service-fs/format/duty'
import type { RecordContent } from '@service-fs/format/entry'
import { nativeCodec } from '@service-fs/native/native'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { bundleDuties, type KeptLong } from './bundle-duties.ts'
import { readDuties, withTrustedTree } from './retention.ts'
import { makeLedger, remove, temporary, testRecords, testSigner } from './testing.ts'

const [Y2030, Y2031, Y2032] = [2030, 2031, 2032].map((year) => `${year}-01-01T00:00:00.000Z`) as [
  string,
  string,
  string,
]
const NONE = { until: '', isHeld: false }
const STATED = { reason: 'r', request_id: 'q', subject: 's' }

let dir: string
beforeEach(async () => {
  dir = await temporary()
})
afterEach(() => remove(dir))

/** Makes a ledger of 900 records, some of which are replaced, and returns how long its bundles must be kept. */
async function keptIn(others: Readonly<Record<number, Partial<RecordContent>>>): Promise<KeptLong[]> {
  const records = testRecords(900).map((record, i) => ({ ...record, ...others[i] }))
  await makeLedger(dir, { records })
  return withTrustedTree(dir, { vkeys: [testSigner().vkey] }, async ({ tree }) => {
    const { duties, problems } = await readDuties(tree)
    expect(problems).toEqual([])
    return bundleDuties(tree, duties)
  })
}

const retained = (until: string): Partial<RecordContent> => ({ fields: [[RETAIN_FIELD, until]] })
const stated = (number: number, duty: Duty): Partial<RecordContent> => ({
  id: `vnd.service-fs.duty/${number}`,
  type: DUTY_TYPE,
  fields: [[DUTY_FIELD, duty.duty]],
  payload: dutyPayload(duty, nativeCodec),
})

it('a bundle is kept until the latest time of its records, and while one of them is held', async () => {
  const kept = await keptIn({
    3: retained(Y2031),
    4: retained(Y2030),
    600: retained(Y2032),
    700: stated(1, { duty: 'hold', hold: 'case-1', payload_id: 'record/300', ...STATED }),
    701: stated(2, { duty: 'hold', hold: 'case-2', payload_id: 'record/800', ...STATED }),
    702: stated(3, { duty: 'lift', hold: 'case-2', ...STATED }),
  })
  expect(kept).toEqual([
    { until: Y2031, isHeld: false },
    { until: '', isHeld: true },
    { until: Y2032, isHeld: false },
    NONE,
  ])
})

it('a later policy keeps the bundles of the earlier records in its scope', async () => {
  const kept = await keptIn({
    899: stated(1, { duty: 'policy', prefix: 'record/2', until: Y2031, ...STATED }),
  })
  // record/2 and record/20 to record/299
  expect(kept).toEqual([{ until: Y2031, isHeld: false }, { until: Y2031, isHeld: false }, NONE, NONE])
})

it('a split record keeps the bundle of each of its parts', async () => {
  const payload = Buffer.alloc(200_000, 'x')
  const kept = await keptIn({ 510: { payload, fields: [[RETAIN_FIELD, Y2030]] } })
  expect(kept).toEqual([NONE, { until: Y2030, isHeld: false }, { until: Y2030, isHeld: false }, NONE])
})

it('a ledger without entries has no bundle to keep', async () => {
  await makeLedger(dir, { records: [] })
  await withTrustedTree(dir, { vkeys: [testSigner().vkey] }, async ({ tree }) => {
    expect(await bundleDuties(tree, (await readDuties(tree)).duties)).toEqual([])
  })
})
