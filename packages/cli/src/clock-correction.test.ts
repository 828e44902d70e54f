import { join } from 'node:path'
import { CLOCK_TYPE } from '@service-fs/format/clock-correction'
import type { RecordContent } from '@service-fs/format/entry'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cli } from './testing.ts'
import {
  makeLedger,
  remove,
  runTar,
  serveDirectory,
  temporary,
  testRecords,
  testSigner,
} from '@service-fs/client/testing'

let dir: string
beforeEach(async () => {
  dir = await temporary()
})
afterEach(() => remove(dir))

const FUTURE = '2027-11-22T00:00:05.000Z'
const BACK = '2026-11-22T00:00:06.000Z'

/** Returns five records, a record whose time is a year ahead, the correction of the clock, and later records. */
function history(behind: Partial<RecordContent> & { payload: Uint8Array }): RecordContent[] {
  const [last, ...after] = testRecords(10).slice(6)
  return [
    ...testRecords(5),
    { ...(testRecords(6)[5] as RecordContent), time: FUTURE },
    { ...(last as RecordContent), id: 'clock-1', type: CLOCK_TYPE, time: BACK, ...behind },
    ...after,
  ]
}

const saying = (members: object): Uint8Array =>
  Buffer.from(
    JSON.stringify({ newest: FUTURE, now: BACK, reason: 'r', request_id: 'q', subject: 's', ...members }),
  )
const VKEY = testSigner().vkey

describe('a time that an operator set back', () => {
  it('a corrected ledger verifies in a directory, at a URL and in a tar archive, with a note', async () => {
    const place = join(dir, 'ledger')
    await makeLedger(place, { records: history({ payload: saying({}) }) })
    const server = await serveDirectory(place)
    try {
      await runTar(dir, '-cf', join(dir, 'ledger.tar'), 'ledger')
      for (const at of [place, server.url, join(dir, 'ledger.tar')]) {
        const io = await cli('verify', at, '--vkey', VKEY)
        expect([at, io.code ?? 0, io.text()]).toEqual([
          at,
          0,
          expect.stringContaining(
            'note: an operator set the time of the ledger back at entry 6; the entry states the reason',
          ),
        ])
      }
    } finally {
      await server.close()
    }
  })

  const wrong: [string, Partial<RecordContent> & { payload: Uint8Array }][] = [
    ['has another type', { type: 'application/json', payload: saying({}) }],
    ['states a time other than its own', { payload: saying({ now: '2026-11-22T00:00:07.000Z' }) }],
    ['states a smaller correction', { payload: saying({ newest: '2027-11-22T00:00:04.999Z' }) }],
    ['is not JSON', { payload: Buffer.from('{') }],
    ['is null', { payload: Buffer.from('null') }],
  ]
  it.each(wrong)('a ledger does not verify when the entry of the correction %s', async (_, behind) => {
    const place = join(dir, 'ledger')
    await makeLedger(place, { records: history(behind) })
    const io = await cli('verify', place, '--vkey', VKEY)
    expect(io.code ?? 0).not.toBe(0)
    expect(io.errors.join()).toContain(`a time not before ${FUTURE}`)
  })
})
