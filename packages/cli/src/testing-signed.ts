/** Makes signed records for tests, with signatures that openssl and node:crypto make. */
import { signCms, signJws, type Identity } from '@service-fs/author/testing'
import { verifySignature } from '@service-fs/author/verify'
import {
  authorFields,
  JWS_TYPE,
  SIGNATURE_OF_FIELD,
  signatureId,
  type SignatureType,
} from '@service-fs/format/author'
import type { RecordContent } from '@service-fs/format/entry'
import { nativeCodec, sha256Hex } from '@service-fs/native/native'

export interface SignedOptions {
  /** A directory for the files of openssl. */
  dir: string
  by: Identity
  type: SignatureType
  payload: Uint8Array
  time: string
  /** The payload of the record, if it is another than the signed one. */
  stored?: Uint8Array
  /** The subject in the header, if it is another than that of the certificate. */
  subject?: string
  /** Changes the signature. */
  changed?: (bytes: Uint8Array) => Uint8Array
}

/** Returns a signed record and its companion, with changes that the ledger's own hashes do not reveal. */
export async function signedPair(
  id: string,
  { dir, by, type, payload, time, stored, subject, changed }: SignedOptions,
): Promise<[RecordContent, RecordContent]> {
  const right = type === JWS_TYPE ? Buffer.from(signJws(payload, by)) : signCms(dir, payload, by)
  const facts = (await verifySignature(payload, type, right)).author
  const bytes = changed?.(right) ?? right
  const fields = authorFields({
    ...facts,
    signature: sha256Hex(bytes),
    subject: subject ?? facts.subject,
  })
  const of = signatureId(id, sha256Hex, nativeCodec)
  return [
    { id, type: 'application/json', time, fields, payload: stored ?? payload },
    { id: of, type, time, fields: [[SIGNATURE_OF_FIELD, id]], payload: bytes },
  ]
}
