/** Authors and their signatures in the form of the wire protocol. */
import { authorFields, authorIn, isAuthorProblem, type Author } from '@service-fs/format/author'
import { nativeCodec } from '@service-fs/native/native'
import { ClientError } from './errors.ts'
import { membersOf } from './http.ts'

/** Parses the member `author` of a record or a receipt. @throws ClientError `malformed` */
export function parseAuthor(value: unknown): Author {
  const { subject, certificate, chain, anchor, signature, signed_at: signedAt } = membersOf(value)
  const texts = [subject, certificate, signature, signedAt, anchor ?? '']
  if (!Array.isArray(chain) || ![...texts, ...chain].every((text) => typeof text === 'string'))
    throw missing()
  const given = { subject, certificate, chain, anchor, signature, signedAt } as Author
  const author = authorIn({ fields: authorFields(given) })
  if (author === undefined || isAuthorProblem(author)) throw missing()
  return author
}

function missing(): ClientError {
  return new ClientError('malformed', 'author: expected a subject, hashes and a time')
}

/** Returns an author in the form of the wire protocol. */
export function authorMembers({ signedAt, ...rest }: Author): Record<string, unknown> {
  return { ...rest, signed_at: signedAt }
}

/** Returns the bytes that the ledger stores for a signature in a request. @throws ClientError `bad-record` */
export function signatureBytes(text: string): Uint8Array {
  if (text.includes('.')) return nativeCodec.utf8Encode(text)
  try {
    return nativeCodec.base64Decode(text)
  } catch {
    throw new ClientError(
      'bad-record',
      'signature: expected a JWS in compact form, or a CMS signature in base64',
    )
  }
}
