/** Fetches records and verifies them against the signed checkpoint of their log. */
import { authorFields, authorIn, isAuthorProblem, SIGNATURE_OF_FIELD } from '@service-fs/format/author'
import { fieldOf, type Field } from '@service-fs/format/entry'
import type { Connection } from './http.ts'
import { checkPayloadProof, fetchProof, fieldsIn } from './proof.ts'
import { mismatch, readRecord, type ReadRecord, type RecordKey } from './read.ts'
import { httpSource } from './source.ts'
import { TrustedTree } from './tree.ts'
import type { Trust } from './trust.ts'

/** Fetches one record and verifies its inclusion proof. @throws ClientError `false` when the proof does not verify, `not-found` */
export async function getRecord(connection: Connection, key: RecordKey, trust: Trust): Promise<ReadRecord> {
  const found = await readRecord(connection, key)
  const proof = await fetchProof(connection, found.cursor)
  const proved = checkPayloadProof(proof, found.payload, trust.policy)
  if (proved.index !== found.cursor - 1)
    throw mismatch('index', String(found.cursor - 1), String(proved.index))
  for (const name of ['id', 'type', 'time'] as const) {
    if (proved[name] !== found[name]) throw mismatch(name, proved[name] ?? '', found[name])
  }
  checkAuthor(found, fieldsIn(proof))
  return found
}

/** Checks that the proven header names the author that the ledger returned. @throws ClientError `false` */
function checkAuthor({ author, signatureOf }: ReadRecord, fields: readonly Field[]): void {
  const read = authorIn({ fields })
  const proved = read === undefined || isAuthorProblem(read) ? [] : authorFields(read)
  const found = author === undefined ? [] : authorFields(author)
  if (String(proved) !== String(found)) throw mismatch('author', String(proved), String(found))
  const of = fieldOf({ fields }, SIGNATURE_OF_FIELD) ?? ''
  if (of !== (signatureOf ?? '')) throw mismatch(SIGNATURE_OF_FIELD, of, signatureOf ?? '')
}

/** Opens the ledger's newest tree. The tree verifies each hash that it reads against the signed checkpoint. @throws ClientError `false` */
export async function openTree(connection: Connection, trust: Trust): Promise<TrustedTree> {
  const source = httpSource(connection)
  return TrustedTree.open(source, trust.openPublished(await source.checkpoint()).checkpoint)
}
