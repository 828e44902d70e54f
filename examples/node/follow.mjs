// node follow.mjs URL SINCE LIMIT: prints LIMIT records from entry SINCE on, each as soon as it is durable.
import { follow, withConnection } from '@service-fs/client'

const [url = '', since = '', limit = ''] = process.argv.slice(2)

await withConnection(url, {}, async (connection) => {
  for await (const { record } of follow(connection, { since: Number(since), limit: Number(limit) }))
    console.log(`${record.cursor} ${record.id}`)
})
