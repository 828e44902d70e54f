/** Fetches records and verifies them against the signed checkpoint of their log. */
import type { Connection } from './http.ts'
import { checkPayloadProof, fetchProof } from './proof.ts'
import { mismatch, readRecord, type ReadRecord, type RecordKey } from './read.ts'
import { httpSource } from './source.ts'
import { TrustedTree } from './tree.ts'
import type { Trust } from './trust.ts'

/** Fetches one record and verifies its inclusion proof. @throws ClientError `false` when the proof does not verify, `not-found` */
export async function getRecord(connection: Connection, key: RecordKey, trust: Trust): Promise<ReadRecord> {
  const found = await readRecord(connection, key)
  const proved = checkPayloadProof(await fetchProof(connection, found.cursor), found.payload, trust.policy)
  if (proved.index !== found.cursor - 1)
    throw mismatch('index', String(found.cursor - 1), String(proved.index))
  for (const name of ['id', 'type', 'time'] as const) {
    if (proved[name] !== found[name]) throw mismatch(name, proved[name] ?? '', found[name])
  }
  return found
}

/** Opens the ledger's newest tree. It verifies each hash that it reads against the signed checkpoint. @throws ClientError `false` */
export async function openTree(connection: Connection, trust: Trust): Promise<TrustedTree> {
  const source = httpSource(connection)
  return TrustedTree.open(source, trust.openPublished(await source.checkpoint()).checkpoint)
}
