// The locks of a mirror in an S3 store, which follow the duties of the ledger.
import { at, done, makeAcme, useDirectory } from '@service-fs/cli/testing-copies'
import { cli } from '@service-fs/cli/testing'
import { testRecords, testSigner } from '@service-fs/client/testing'
import {
  DUTY_FIELD,
  DUTY_TYPE,
  LAST_TIME,
  RETAIN_FIELD,
  dutyPayload,
  type Duty,
} from '@service-fs/format/duty'
import type { RecordContent } from '@service-fs/format/entry'
import { nativeCodec } from '@service-fs/native/native'
import { expect, it } from 'vitest'
import { StoredCopy, isSealed } from './objects.ts'
import { describeStore, useStore } from './store.ts'

const VKEY = testSigner().vkey
const END = '2099-01-01T00:00:00.000Z'
const DAY = 86_400_000
const STATED = { reason: 'r', request_id: 'q', subject: 's' }
/** What proves the records, and so is kept as long as any of them. */
const PROOFS = ['README.txt', 'keys/ed25519.vkey', 'origin', 'tile/0/000.b64', 'tile/0/002.b64', 'verify.sh']

const stated = (duty: Duty): Partial<RecordContent> => ({
  id: 'vnd.service-fs.duty/1',
  type: DUTY_TYPE,
  fields: [[DUTY_FIELD, duty.duty]],
  payload: dutyPayload(duty, nativeCodec),
})
const hold = stated({ duty: 'hold', hold: 'case-1', payload_id: 'record/300', ...STATED })
const lift = stated({ duty: 'lift', hold: 'case-1', ...STATED })

/** Makes the ledger `acme` with 800 records, some of which are replaced. */
function acme(others: Readonly<Record<number, Partial<RecordContent>>>, size = 800): Promise<string> {
  return makeAcme({ records: testRecords(size).map((record, i) => ({ ...record, ...others[i] })) })
}

const bundle = (index: number): string => `tile/entries/00${index}.b64`

async function mirrored(copy: StoredCopy, ...options: string[]): Promise<StoredCopy> {
  await done('mirror', at('acme'), copy.place, '--once', '--vkey', VKEY, '--retain', '3', ...options)
  return copy
}

/** Runs `retention lock`, and returns its report. */
async function locked({ place }: StoredCopy): Promise<object> {
  const io = await done('retention', 'lock', place, '--vkey', VKEY, '--json')
  return JSON.parse(io.text()) as object
}

describeStore('the locks of a mirror in versitygw', () => {
  useDirectory()
  const store = useStore({ locked: { lock: true } })

  const copyAt = (path: string): StoredCopy => new StoredCopy(store(), path)
  it('retention lock extends the locks to the end of the duties, and never shortens one', async () => {
    await acme({ 5: { fields: [[RETAIN_FIELD, END]] } })
    const copy = await mirrored(copyAt('locked/ends'))
    expect(await locked(copy)).toMatchObject({ size: 800, bundles: 3, kept: 1, until: END, held: 0 })
    for (const one of [bundle(0), ...PROOFS])
      expect([one, await copy.lockOf(one)]).toEqual([one, { mode: 'COMPLIANCE', until: Date.parse(END) }])
    for (const one of [bundle(1), bundle(2), 'audit/origin'])
      expect((await copy.lockOf(one))?.until).toBeLessThan(Date.now() + 4 * DAY)
    for (const one of await copy.names()) {
      expect([one, (await copy.lockOf(one)) !== undefined]).toEqual([one, isSealed(one)])
      expect([one, await copy.isHeld(one)]).toEqual([one, false])
    }
    expect(await locked(copy)).toMatchObject({ extended: 0 })
    await acme({ 5: { fields: [[RETAIN_FIELD, '2098-01-01T00:00:00.000Z']] } })
    const shorter = await mirrored(copyAt('locked/governance'), '--retain-mode', 'GOVERNANCE')
    await locked(shorter)
    expect((await shorter.lockOf(bundle(0)))?.mode).toBe('GOVERNANCE')
  })

  it('retention lock holds what a hold keeps, and lifts it only when it is told to', async () => {
    await acme({ 799: hold })
    const copy = await mirrored(copyAt('locked/holds'))
    expect(await locked(copy)).toMatchObject({ kept: 1, extended: 0, held: 1 + 7, lifted: 0 })
    const held = async (): Promise<boolean[]> =>
      Promise.all([bundle(0), bundle(1), ...PROOFS].map((one) => copy.isHeld(one)))
    expect(await held()).toEqual([false, true, ...PROOFS.map(() => true)])
    await acme({ 799: hold, 800: { ...lift, id: 'vnd.service-fs.duty/2' } }, 801)
    await mirrored(copy)
    expect(await locked(copy)).toMatchObject({ kept: 0, held: 0, lifted: 0 })
    expect(await held()).toContain(true)
    const io = await done('retention', 'lock', copy.place, '--vkey', VKEY, '--lift')
    expect(io.text()).toBe(
      '801 entries read; duties keep 0 of 3 full bundles\n      extended 0 locks, put 0 legal holds, lifted 8\n',
    )
    expect(await held()).not.toContain(true)
  })

  it('retention lock locks for a century what a duty keeps longer', async () => {
    await acme({ 799: stated({ duty: 'policy', all: true, until: LAST_TIME, ...STATED }) })
    const copy = await mirrored(copyAt('locked/century'))
    expect(await locked(copy)).toMatchObject({ kept: 3, extended: 3 + 7 })
    expect((await copy.lockOf(bundle(2)))?.until).toBeGreaterThan(Date.now() + 36_000 * DAY)
    expect(await locked(copy)).toMatchObject({ extended: 0 })
    const report = await done('retention', 'report', copy.place, '--vkey', VKEY)
    expect(report.text()).toContain('800 records must be kept')
  })

  it('retention lock changes nothing when the mirror is damaged or has no locks', async () => {
    await acme({ 5: { fields: [[RETAIN_FIELD, END]] } })
    const copy = await mirrored(copyAt('locked/damaged'))
    const text = await copy.text(bundle(2))
    await copy.overwrite(bundle(2), text.replace(/^..../, 'AAAA'))
    const io = await cli('retention', 'lock', copy.place, '--vkey', VKEY)
    expect([io.code, io.errors.join()]).toEqual([1, expect.stringContaining('entry 512')])
    expect((await copy.lockOf(bundle(0)))?.until).toBeLessThan(Date.now() + 4 * DAY)
    const open = copyAt('locked/open')
    await done('mirror', at('acme'), open.place, '--once', '--vkey', VKEY, '--no-retain')
    for (const [place, code, message] of [
      [open.place, 3, 'open/origin: expected the lock of a mirror made with --retain, found none'],
      [at('acme'), 2, 'expected a place in an S3 store'],
    ] as const) {
      const refused = await cli('retention', 'lock', place, '--vkey', VKEY)
      expect([refused.code, refused.errors.join()]).toEqual([code, expect.stringContaining(message)])
    }
  })
})
