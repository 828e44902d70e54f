/**
 * Signed origin: how a ledger stores the signature of a record's author. docs/signed-origin.md specifies it.
 *
 * The record's header names the author, the certificates and the hash of the signature. The signature itself, with its certificates, is
 * the payload of a companion record, which directly follows the record in the same commit.
 */
import type { Codec } from '@service-fs/tlog/codec'
import type { EntryHeader, Field, Sha256Hex } from './entry.ts'
import { isTime } from './time.ts'

/** The subject of the signing certificate, in the form of RFC 4514. */
export const AUTHOR_FIELD = 'author'
/** The SHA-256 of the operator's trust anchor; absent when the operator configured none. */
export const ANCHOR_FIELD = 'author-anchor'
/** The SHA-256 of the signing certificate. */
export const CERTIFICATE_FIELD = 'author-certificate'
/** The SHA-256 of each further certificate, separated by spaces; absent when there are no further certificates. */
export const CHAIN_FIELD = 'author-chain'
/** The SHA-256 of the companion record's payload. */
export const SIGNATURE_FIELD = 'author-signature'
/** The time of the signature, as stated by the author. */
export const SIGNED_AT_FIELD = 'author-signed-at'
/** The header field of a companion record: the identifier of the signed record. */
export const SIGNATURE_OF_FIELD = 'signature-of'

/** The start of a companion record's identifier; see {@link signatureId}. Clients cannot append records with such an identifier. */
export const SIGNATURE_ID_PREFIX = 'vnd.service-fs.signature/'

/** The type of a companion record with a JWS in compact serialization (RFC 7515 §9.2.1). */
export const JWS_TYPE = 'application/jose'
/** The type of a companion record with a CMS SignedData in DER (RFC 8551 §3.2.1). */
export const CMS_TYPE = 'application/pkcs7-signature'
export type SignatureType = typeof JWS_TYPE | typeof CMS_TYPE

/** The longest signature, in bytes. */
export const MAX_SIGNATURE_BYTES = 65_536
/** The most certificates of a signature. */
export const MAX_CERTIFICATES = 8
/** The longest subject, in bytes of UTF-8. A subject of this length and MAX_CERTIFICATES hashes fit a header. */
export const MAX_SUBJECT_BYTES = 1024

/** The statements in the header of a signed record about its author. All hashes are SHA-256 in lower-case hex. */
export interface Author {
  /** The subject of the signing certificate (RFC 4514). */
  subject: string
  certificate: string
  /** The further certificates of the chain, starting with the issuer of the signing certificate. */
  chain: readonly string[]
  /** The operator's trust anchor; absent when the chain is not anchored. */
  anchor?: string
  signature: string
  /** The time that the author states: RFC 3339 in UTC with milliseconds. */
  signedAt: string
}

const HEX = /^[0-9a-f]{64}$/
const CHAIN = /^[0-9a-f]{64}(?: [0-9a-f]{64})*$/
const NAMES: ReadonlySet<string> = new Set([
  AUTHOR_FIELD,
  ANCHOR_FIELD,
  CERTIFICATE_FIELD,
  CHAIN_FIELD,
  SIGNATURE_FIELD,
  SIGNED_AT_FIELD,
])

/** Returns the header fields of a signed record, sorted by name. */
export function authorFields({
  subject,
  certificate,
  chain,
  anchor,
  signature,
  signedAt,
}: Author): readonly Field[] {
  const fields: Field[] = [[AUTHOR_FIELD, subject]]
  if (anchor !== undefined) fields.push([ANCHOR_FIELD, anchor])
  fields.push([CERTIFICATE_FIELD, certificate])
  if (chain.length > 0) fields.push([CHAIN_FIELD, chain.join(' ')])
  fields.push([SIGNATURE_FIELD, signature], [SIGNED_AT_FIELD, signedAt])
  return fields
}

/** Reports whether a header field is about the author of a signed record. */
export function isAuthorField(name: string): boolean {
  return NAMES.has(name)
}

/** A header whose fields about the author do not have the form of {@link authorFields}. */
export interface AuthorProblem {
  field: string
  expected: string
  found: string
}

/**
 * Returns the author that a header names, or the first problem; undefined if SIGNATURE_FIELD is absent, which means that the record is not
 * signed.
 */
export function authorIn({ fields }: Pick<EntryHeader, 'fields'>): Author | AuthorProblem | undefined {
  const found = new Map(fields.filter(([name]) => NAMES.has(name)))
  if (!found.has(SIGNATURE_FIELD)) return undefined
  const text = (name: string): string => found.get(name) ?? ''
  const bad = (field: string, expected: string): AuthorProblem => ({
    field,
    expected,
    found: found.get(field) ?? 'nothing',
  })
  if (text(AUTHOR_FIELD) === '') return bad(AUTHOR_FIELD, 'a subject')
  for (const name of [CERTIFICATE_FIELD, SIGNATURE_FIELD])
    if (!HEX.test(text(name))) return bad(name, 'a SHA-256 in hex')
  if (!isTime(text(SIGNED_AT_FIELD))) return bad(SIGNED_AT_FIELD, 'a time')
  const anchor = found.get(ANCHOR_FIELD)
  if (anchor !== undefined && !HEX.test(anchor)) return bad(ANCHOR_FIELD, 'a SHA-256 in hex')
  const chain = found.get(CHAIN_FIELD)
  if (chain !== undefined && !CHAIN.test(chain)) return bad(CHAIN_FIELD, 'SHA-256 hashes in hex')
  return {
    subject: text(AUTHOR_FIELD),
    certificate: text(CERTIFICATE_FIELD),
    chain: chain?.split(' ') ?? [],
    ...(anchor === undefined ? {} : { anchor }),
    signature: text(SIGNATURE_FIELD),
    signedAt: text(SIGNED_AT_FIELD),
  }
}

/** Reports whether the result of {@link authorIn} is a problem. */
export function isAuthorProblem(read: Author | AuthorProblem): read is AuthorProblem {
  return 'field' in read
}

/** Returns the identifier of the companion record of the record `id`: the prefix and the SHA-256 of `id` in hex. */
export function signatureId(id: string, sha256Hex: Sha256Hex, codec: Codec): string {
  return SIGNATURE_ID_PREFIX + sha256Hex(codec.utf8Encode(id))
}

/** Reports whether text is the type of a companion record. */
export function isSignatureType(type: string): type is SignatureType {
  return type === JWS_TYPE || type === CMS_TYPE
}
