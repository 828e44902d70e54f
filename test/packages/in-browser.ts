// A program that uses the client in a browser. `packages.test.ts` bundles it against the packages as npm publishes them.

import {
  appendAll,
  checkReceipt,
  ClientError,
  follow,
  getRecord,
  openTree,
  treeRecords,
  Trust,
  verifyUrl,
  withConnection,
  type NewRecord,
} from '@service-fs/client'

const COUNT = 300

/** A record of several entries, and many of one. Together they fill a tile. */
function* records(): Generator<NewRecord> {
  yield { id: 'large', type: 'application/octet-stream', payload: new Uint8Array(150_000).fill(7) }
  for (let i = 1; i < COUNT; i++)
    yield { id: `order-${i}`, type: 'text/plain', payload: new TextEncoder().encode(`größe ${i}`) }
}

async function* each<T>(values: Iterable<T>): AsyncGenerator<T> {
  yield* values
}

/** Appends the records and checks their receipts. Resolves to the number of receipts. */
export function append(url: string): Promise<number> {
  return withConnection(url, {}, async (connection) => {
    let checked = 0
    await appendAll(connection, each(records()), {
      appended(receipts, sent) {
        receipts.forEach((receipt, i) => checkReceipt(receipt, sent[i] as NewRecord))
        checked += receipts.length
      },
    })
    return checked
  })
}

/** The results that a browser verified, or the error's code when a check failed. */
export type Verified = Record<string, string | number | boolean>

/** Verifies the ledger in each way that the client offers. */
export async function verify(url: string, vkey: string): Promise<Verified> {
  try {
    return await withConnection(url, {}, async (connection) => {
      const trust = Trust.pinned({ vkeys: [vkey] }) as Trust
      const tree = await openTree(connection, trust)
      const ids: string[] = []
      for await (const { id } of treeRecords(tree)) ids.push(id)
      const proved = await getRecord(connection, { id: 'order-17' }, trust)
      const large = await getRecord(connection, { id: 'large' }, trust)
      const followed: number[] = []
      for await (const { record } of follow(connection, { limit: 2 })) followed.push(record.cursor)
      const report = await verifyUrl(connection, { vkeys: [vkey], withoutAudit: true })
      return {
        size: tree.size,
        leaf: await tree.leaf(0),
        ids: ids.length,
        text: new TextDecoder().decode(proved.payload),
        large: large.payload.length,
        followed: followed.join(),
        ok: report.ok,
        root: report.root,
        pinned: report.pinned,
      }
    })
  } catch (error) {
    if (error instanceof ClientError) return { code: error.code }
    throw error
  }
}
