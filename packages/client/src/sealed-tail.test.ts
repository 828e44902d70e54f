// Reads a ledger while its daemon seals entries and removes their tail file.
import { makeLedger, remove, temporary, testRecords } from './testing.ts'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { directoryFiles, type LedgerFiles } from './ledger-files.ts'
import { filesSource } from './source.ts'

let dir = ''
beforeEach(async () => {
  dir = await temporary()
})
afterEach(() => remove(dir))

it('a reader finds entries that are sealed after it has looked for the bundle and before it looks for the tail file', async () => {
  await makeLedger(`${dir}/before`, { records: testRecords(200) })
  await makeLedger(`${dir}/after`, { records: testRecords(300) })
  let now = directoryFiles(`${dir}/before`)
  const files: LedgerFiles = {
    place: 'ledger',
    async read(path) {
      const found = await now.read(path)
      // The daemon seals the bundle just after the reader has looked for it.
      if (path.startsWith('tile/entries/')) now = directoryFiles(`${dir}/after`)
      return found
    },
    list: (folder) => now.list(folder),
    below: () => files,
  }
  const expected = await filesSource(directoryFiles(`${dir}/before`)).bundle(0, 200)
  expect(await filesSource(files).bundle(0, 200)).toEqual(expected)
  await expect(filesSource(files).bundle(1, 100)).rejects.toMatchObject({ code: 'not-found' })
})
