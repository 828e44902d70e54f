// node append.mjs URL ID FILE: appends a file as one record, and checks the receipt.
import { readFileSync } from 'node:fs'
import { appendBatch, checkReceipt, withConnection } from '@service-fs/client'

const [url = '', id = '', file = ''] = process.argv.slice(2)
const record = { id, type: 'application/octet-stream', payload: readFileSync(file) }

await withConnection(url, {}, async (connection) => {
  const { entries } = await appendBatch(connection, [record])
  for (const receipt of entries) {
    checkReceipt(receipt, record)
    console.log(`${id} is entry ${receipt.index}${receipt.duplicate ? ' (it was already there)' : ''}`)
  }
})
