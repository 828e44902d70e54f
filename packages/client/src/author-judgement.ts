/** Judges the signature of a record's author by the record that follows it, which must be its signature (docs/signed-origin.md). */
import { authorIn, isAuthorProblem, signatureId, type Author } from '@service-fs/format/author'
import { nativeCodec, sha256Hex } from '@service-fs/native/native'
import {
  checkSignature,
  isSignatureFault,
  type AuthoredRecord,
  type SignatureVerifier,
} from './companions.ts'

/** The record after a signed one. */
export interface Companion {
  readonly id: string
  readonly type: string
  readonly payload: Uint8Array
}

/** The judgement of a signed record. */
export interface AuthorJudgement {
  /** The author that the header names; absent if its fields are malformed. */
  readonly author?: Author
  /** The issuer that the signing certificate names; absent if the signature does not verify. */
  readonly issuer?: string
  /** Why the signature does not count; absent if it verifies. */
  readonly problem?: string
}

/** Reports whether a record has the identifier of the signature of the record `id`. */
export function isSignatureOf(companion: Pick<Companion, 'id'>, id: string): boolean {
  return companion.id === signatureId(id, sha256Hex, nativeCodec)
}

/**
 * Judges a record: its signature does not count if the record has none, or `companion` is not its signature, or that is not valid at the time
 * of the record, or is of another author, or does not lead to a trust anchor of the verifier.
 */
export async function judgeAuthor(
  record: AuthoredRecord,
  companion: Companion | undefined,
  verify: SignatureVerifier,
): Promise<AuthorJudgement> {
  const author = authorIn(record)
  if (author === undefined) return { problem: 'expected a signature of its author, found none' }
  if (isAuthorProblem(author))
    return { problem: `${author.field}: expected ${author.expected}, found ${author.found}` }
  const signature = signatureRecord(record.id, author, companion)
  if (typeof signature === 'string') return { author, problem: signature }
  const found = await checkSignature(record, signature, verify)
  if (isSignatureFault(found)) return { author, problem: `expected ${found.expected}, found ${found.found}` }
  return { author, issuer: found.issuer }
}

/** Returns the record after a signed one, if it is the signature that the header names; else says what was expected and found. */
function signatureRecord(id: string, author: Author, companion: Companion | undefined): Companion | string {
  if (companion === undefined || !isSignatureOf(companion, id)) {
    const wanted = JSON.stringify(signatureId(id, sha256Hex, nativeCodec))
    const found = companion === undefined ? 'none' : JSON.stringify(companion.id)
    return `expected its signature in the record ${wanted}, found ${found}`
  }
  const digest = sha256Hex(companion.payload)
  return digest === author.signature
    ? companion
    : `expected a signature with the SHA-256 ${author.signature}, found ${digest}`
}
