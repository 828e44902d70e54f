/** Writes a record index in the given directory, like a ledger, for the given number of entries. */
import { openRecordIndex } from '@service-fs/hosted/tenant/records/record-index'

const [, , dir = '', entries = ''] = process.argv
const index = openRecordIndex(dir, { runEntries: 512 })
for (let size = 0; size < Number(entries);) {
  const count = 1 + (size % 23)
  index.put(
    Array.from({ length: count }, (_, i) => ({ id: `record-${size + i}`, index: size + i })),
    size + count,
    `root-${size + count}`,
  )
  size += count
  if (size % 7 === 0) await index.flush()
}
await index.close()
