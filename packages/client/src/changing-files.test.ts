// Changes a bundle during its verification: the walk judges only bytes that it has hashed.
import { entriesOf, type RecordContent } from '@service-fs/format/entry'
import { nativeCodec, sha256Hex } from '@service-fs/native/native'
import { afterEach, expect, it } from 'vitest'
import { directoryFiles, type LedgerFiles } from './ledger-files.ts'
import { makeLedger, remove, temporary, testRecords } from './testing.ts'
import { verifyFiles } from './verify-directory.ts'

const PATH = 'tile/entries/001.b64'
const dirs: string[] = []
afterEach(async () => {
  for (const dir of dirs.splice(0)) await remove(dir)
})

const entriesFrom = (records: readonly RecordContent[]): Uint8Array[] =>
  records.flatMap((record) => entriesOf(record, sha256Hex))
const textOf = (entries: readonly Uint8Array[]): Buffer =>
  Buffer.from(entries.map((entry) => `${nativeCodec.base64Encode(entry)}\n`).join(''))

const records = testRecords(512)
const late = entriesFrom(
  records.map((record, i) => (i < 256 ? record : { ...record, time: '2026-11-22T00:00:01.000Z' })),
)
const twice = entriesFrom(records.with(300, { ...(records[300] as RecordContent), id: records[5]?.id ?? '' }))

it.each<[string, Uint8Array[], (bytes: Buffer | undefined) => Buffer | undefined]>([
  ['has good times when it is read again', late, () => textOf(entriesFrom(records).slice(256))],
  ['is gone when it is read again', late, () => undefined],
  ['is cut when it is read again', late, (bytes) => bytes?.subarray(0, 1000)],
  ['has no duplicate when it is read again', twice, () => textOf(entriesFrom(records).slice(256))],
])('a bundle is refused by name when it %s', async (_, entries, later) => {
  const dir = await temporary()
  dirs.push(dir)
  await makeLedger(dir, { entries, tail: 'export' })
  const files = directoryFiles(dir)
  let reads = 0
  const changing: LedgerFiles = {
    ...files,
    async read(path) {
      const bytes = await files.read(path)
      if (path !== PATH) return bytes
      reads += 1
      return reads === 1 ? bytes : later(bytes)
    },
  }
  await expect(verifyFiles(changing, { withoutAudit: true })).rejects.toMatchObject({
    code: 'file',
    message: `${PATH}: changed while it was verified`,
  })
})
