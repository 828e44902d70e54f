// node verify.mjs URL VKEY ID FILE: proves that the log whose verifier key is VKEY contains FILE as the record ID.
import { readFileSync } from 'node:fs'
import {
  checkPayloadProof,
  ClientError,
  fetchProof,
  readRecord,
  Trust,
  withConnection,
} from '@service-fs/client'

const [url = '', vkey = '', id = '', file = ''] = process.argv.slice(2)

/** @param {import('@service-fs/client').Connection} connection */
async function verify(connection) {
  const trust = Trust.pinned({ vkeys: [vkey] })
  if (trust === undefined) throw new Error('expected a verifier key')
  const { cursor } = await readRecord(connection, { id })
  const proved = checkPayloadProof(await fetchProof(connection, cursor), readFileSync(file), trust.policy)
  if (proved.id !== id) throw new ClientError('false', `expected a proof of ${id}, found one of ${proved.id}`)
  console.log(`true: ${id} is entry ${proved.index} of ${proved.size} in ${proved.origin}`)
}

try {
  await withConnection(url, {}, verify)
} catch (error) {
  if (!(error instanceof ClientError) || error.code !== 'false') throw error
  console.log(`false: ${error.message}`)
  process.exitCode = 1
}
