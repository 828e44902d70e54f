// Tests the second read of a ledger, which finds the suspected identifiers that are duplicates.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { directoryFiles, type LedgerFiles } from './ledger-files.ts'
import { makeLedger, remove, temporary, testRecords } from './testing.ts'
import { verifyDirectory, verifyFiles } from './verify-directory.ts'

const dirs: string[] = []
afterEach(async () => {
  for (const dir of dirs.splice(0)) await remove(dir)
})

/** Makes a ledger of 700 records, in which record 650 has the identifier of record 5. */
async function madeWithDuplicate(): Promise<string> {
  const dir = await temporary()
  dirs.push(dir)
  const records = testRecords(700)
  records[650]!.id = records[5]!.id
  await makeLedger(dir, { records, tail: 'export' })
  return dir
}

it('a duplicate is reported with its path below the directory', async () => {
  const report = await verifyDirectory(await madeWithDuplicate(), { withoutAudit: true })
  expect(report.problems).toMatchObject([
    {
      file: 'tile/entries/002.p/188.b64',
      line: 139,
      index: 650,
      expected: 'an id that no earlier record has',
    },
  ])
})

it('a bundle that disappeared after the walk is named', async () => {
  const dir = await madeWithDuplicate()
  const files = directoryFiles(dir)
  const PATH = 'tile/entries/000.b64'
  let reads = 0
  const changing: LedgerFiles = {
    ...files,
    read: async (path) => (path === PATH && ++reads > 1 ? undefined : files.read(path)),
  }
  const report = await verifyFiles(changing, { withoutAudit: true })
  expect(report.ok).toBe(false)
  expect(report.problems).toContainEqual(expect.objectContaining({ file: PATH }))
})

it('a missing bundle is named, and the duplicates in other bundles are reported', async () => {
  const dir = await madeWithDuplicate()
  await rm(join(dir, 'tile/entries/001.b64'))
  const { problems } = await verifyDirectory(dir, { withoutAudit: true })
  expect(new Set(problems.map(({ file }) => file))).toEqual(
    new Set(['tile/entries/001.b64', 'tile/entries/002.p/188.b64']),
  )
})
