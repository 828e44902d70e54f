import {
  AUTHOR_FIELD,
  CERTIFICATE_FIELD,
  JWS_TYPE,
  SIGNATURE_FIELD,
  SIGNATURE_ID_PREFIX,
  SIGNATURE_OF_FIELD,
  SIGNED_AT_FIELD,
  signatureId,
  type Author,
} from '@service-fs/format/author'
import { hexEncode, pureCodec } from '@service-fs/tlog/codec'
import { nobleHasher } from '@service-fs/tlog/hash'
import { afterEach, expect, it } from 'vitest'
import type { Ledger } from './ledger.ts'
import type { LedgerLimits } from './limits.ts'
import type { NewRecord } from './record.ts'
import { openTestLedger, textRecord } from './testing.ts'

const sha256Hex = (bytes: Uint8Array): string => hexEncode(nobleHasher.sha256(bytes))
const T = '2026-11-22T18:43:00.000Z'
let ledger: Ledger
afterEach(() => ledger.close())

async function open(limits: Partial<LedgerLimits> = {}): Promise<void> {
  ledger = await openTestLedger({ limits })
}

/** Returns a signed record. The ledger does not verify the signature, so the signature may be any bytes. */
function signed(
  id: string,
  signature: string,
  times: { notBefore?: string; notAfter?: string } = {},
): NewRecord {
  const bytes = pureCodec.utf8Encode(signature)
  const author: Author = {
    subject: 'CN=Ä. Müller',
    certificate: 'c'.repeat(64),
    chain: [],
    signature: sha256Hex(bytes),
    signedAt: '2026-11-22T18:42:00.000Z',
  }
  const { notBefore = T, notAfter = T } = times
  return { ...textRecord(id, 'one'), signature: { type: JWS_TYPE, bytes, author, notBefore, notAfter } }
}

it('a signed record names its author, and its companion follows it', async () => {
  await open()
  const until = '2030-01-01T00:00:00.000Z'
  const record = { ...signed('a', 'x..y'), fields: [['retain-until', until]] as const }
  const { entries } = await ledger.append([record, textRecord('b', 'two'), signed('c', 'z..z')])
  expect(entries.map(({ index, duplicate }) => [index, duplicate])).toEqual([
    [0, false],
    [2, false],
    [3, false],
  ])
  expect(entries.map(({ author }) => author?.subject)).toEqual(['CN=Ä. Müller', undefined, 'CN=Ä. Müller'])
  expect((await ledger.record(0)).fields).toEqual([
    [AUTHOR_FIELD, 'CN=Ä. Müller'],
    [CERTIFICATE_FIELD, 'c'.repeat(64)],
    [SIGNATURE_FIELD, sha256Hex(pureCodec.utf8Encode('x..y'))],
    [SIGNED_AT_FIELD, '2026-11-22T18:42:00.000Z'],
    ['retain-until', until],
  ])
  expect(await ledger.record(1)).toMatchObject({
    id: signatureId('a', sha256Hex, pureCodec),
    type: JWS_TYPE,
    fields: [
      ['retain-until', until],
      [SIGNATURE_OF_FIELD, 'a'],
    ],
    payload: pureCodec.utf8Encode('x..y'),
  })
  expect((await ledger.record(4)).fields).toEqual([[SIGNATURE_OF_FIELD, 'c']])
})

it('a large signed record precedes its companion', async () => {
  await open()
  const { entries } = await ledger.append([{ ...signed('a', 'x..y'), payload: new Uint8Array(70_000) }])
  expect(entries).toMatchObject([{ index: 0, parts: 2 }])
  expect((await ledger.record(2)).fields).toEqual([[SIGNATURE_OF_FIELD, 'a']])
})

it('the same signed record again is a duplicate, even if its certificates have expired', async () => {
  await open()
  const [first] = (await ledger.append([signed('a', 'x..y')])).entries
  const late = signed('a', 'x..y', { notAfter: '2026-11-22T18:42:59.999Z' })
  const again = await ledger.append([late, late])
  expect(again.entries).toEqual([
    { ...first, duplicate: true },
    { ...first, duplicate: true },
  ])
  expect(ledger.size).toBe(2)
})

it.each([
  ['another signature', () => signed('a', 'x..z')],
  ['no signature', () => textRecord('a', 'one')],
])('the same record with %s is a conflict', async (_, other) => {
  await open()
  await ledger.append([signed('a', 'x..y')])
  await expect(ledger.append([other()])).rejects.toMatchObject({ code: 'conflict', index: 0, recordId: 'a' })
  await expect(ledger.append([signed('n', 'x..y'), { ...other(), id: 'n' }])).rejects.toMatchObject({
    code: 'conflict',
  })
  expect(ledger.size).toBe(2)
})

it('a record that is in the ledger cannot get a signature', async () => {
  await open()
  await ledger.append([textRecord('a', 'one')])
  await expect(ledger.append([signed('a', 'x..y')])).rejects.toMatchObject({
    code: 'conflict',
    recordId: 'a',
  })
  expect(ledger.size).toBe(1)
})

it.each([
  ['expired', { notAfter: '2026-11-22T18:42:59.999Z' }],
  ['not yet valid', { notBefore: '2026-11-22T18:43:00.001Z', notAfter: '2027-01-01T00:00:00.000Z' }],
])('a certificate that is %s at the time of the record is refused, with the batch', async (_, times) => {
  await open()
  const records = [textRecord('b', 'two'), signed('a', 'x..y', times)]
  await expect(ledger.append(records)).rejects.toMatchObject({ code: 'bad-signature', recordId: 'a' })
  expect(ledger.size).toBe(0)
  expect((await ledger.append([signed('a', 'x..y')])).entries).toMatchObject([{ index: 0, duplicate: false }])
})

it('a client cannot append a companion', async () => {
  await open()
  await expect(ledger.append([textRecord(`${SIGNATURE_ID_PREFIX}x`, 'one')])).rejects.toMatchObject({
    code: 'bad-record',
  })
})

it('a batch has room for as many signed records as unsigned records', async () => {
  const maxBatchRecords = 4
  await open({ maxBatchRecords })
  const records = Array.from({ length: maxBatchRecords }, (_, i) => signed(`r${i}`, `x..${i}`))
  const { entries } = await ledger.append(records)
  expect(entries.at(-1)).toMatchObject({ index: 6 })
  await expect(ledger.append([...records, textRecord('e', 'e')])).rejects.toMatchObject({ code: 'too-large' })
})
