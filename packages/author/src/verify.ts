/** Verifies the detached signature of a record's author. */
import { createHash } from 'node:crypto'
import {
  CMS_TYPE,
  JWS_TYPE,
  MAX_SIGNATURE_BYTES,
  type Author,
  type SignatureType,
} from '@service-fs/format/author'
import { nativeCodec } from '@service-fs/native/native'
import { verifyCades } from './cades.ts'
import type { Anchors } from './chain.ts'
import { visibleName } from './distinguished-name.ts'
import { SignatureError } from './errors.ts'
import { verifyJades } from './jades.ts'

/** A signature that is valid for a payload, between two times. */
export interface VerifiedSignature {
  readonly type: SignatureType
  readonly bytes: Uint8Array
  readonly author: Author
  /** The issuer that the signing certificate names (RFC 4514). */
  readonly issuer: string
  /** RFC 3339 with milliseconds; all certificates are valid from `notBefore` to `notAfter`. */
  readonly notBefore: string
  readonly notAfter: string
}

/**
 * Verifies a signature of the given type over `payload`: algorithms, keys, the signature itself, the binding of the signing certificate, the
 * shape of the chain, and, with `anchors`, that one of them certifies the chain. The caller checks the time of the append against
 * `notBefore` and `notAfter`.
 * @throws SignatureError
 */
export async function verifySignature(
  payload: Uint8Array,
  type: SignatureType,
  bytes: Uint8Array,
  anchors?: Anchors,
): Promise<VerifiedSignature> {
  if (bytes.length === 0 || bytes.length > MAX_SIGNATURE_BYTES)
    throw new SignatureError(
      `expected a signature of 1 to ${MAX_SIGNATURE_BYTES} bytes, found ${bytes.length}`,
    )
  const { chain, signedAt } =
    type === JWS_TYPE
      ? await verifyJades(payload, nativeCodec.asciiDecode?.(bytes, 0, bytes.length) ?? '')
      : await verifyCades(payload, bytes)
  const anchor = anchors?.of(chain)
  if (anchors !== undefined && anchor === undefined)
    throw new SignatureError('expected a chain to a trust anchor, found one that is not anchored')
  const { signer, others, notBefore, notAfter } = chain
  const author: Author = {
    subject: signer.subject,
    certificate: signer.sha256,
    chain: others.map(({ sha256 }) => sha256),
    ...(anchor === undefined ? {} : { anchor: anchor.sha256 }),
    signature: createHash('sha256').update(bytes).digest('hex'),
    signedAt,
  }
  return {
    type,
    bytes,
    author,
    issuer: visibleName({ subject: signer.x509.issuer }),
    notBefore: anchor === undefined || anchor.notBefore < notBefore ? notBefore : anchor.notBefore,
    notAfter: anchor === undefined || anchor.notAfter > notAfter ? notAfter : anchor.notAfter,
  }
}

/** A signature as clients send it. */
export interface SignatureText {
  type: SignatureType
  bytes: Uint8Array
}

/** Reads a signature that a client sent as text: a JWS in compact form, or the base64 of a CMS in DER. @throws SignatureError */
export function signatureIn(text: string): SignatureText {
  if (text.length > Math.ceil(MAX_SIGNATURE_BYTES / 3) * 4)
    throw new SignatureError(`expected a signature of at most ${MAX_SIGNATURE_BYTES} bytes, found more`)
  if (text.includes('.')) return { type: JWS_TYPE, bytes: nativeCodec.utf8Encode(text) }
  try {
    return { type: CMS_TYPE, bytes: nativeCodec.base64Decode(text) }
  } catch (error) {
    throw new SignatureError(
      'expected a detached JWS in compact form, or a CMS signature in canonical base64',
      error,
    )
  }
}
