/**
 * Detached JWS signatures (RFC 7515 appendix F) with the header parameters of JAdES baseline B-B (ETSI TS 119 182-1): `x5c`, `x5t#S256`, and
 * `iat` or `sigT`. The payload may be unencoded (RFC 7797).
 */
import { createHash } from 'node:crypto'
import { JWS_ALGORITHMS } from '@service-fs/format/jws'
import { isTime } from '@service-fs/format/time'
import { nativeCodec } from '@service-fs/native/native'
import { flattenedVerify } from 'jose'
import { checkKey } from './algorithms.ts'
import { orderedChain, readCertificates, type Chain } from './chain.ts'
import { SignatureError } from './errors.ts'

/** A compact serialization without its payload. */
const DETACHED = /^([\w-]+)\.\.([\w-]+)$/

interface Header {
  readonly alg?: unknown
  readonly b64?: unknown
  readonly crit?: unknown
  readonly x5c?: unknown
  readonly 'x5t#S256'?: unknown
  readonly iat?: unknown
  readonly sigT?: unknown
  readonly sigD?: unknown
}

/** Verifies a signature over `payload`. Returns its chain and the stated time. @throws SignatureError */
export async function verifyJades(
  payload: Uint8Array,
  signature: string,
): Promise<{ chain: Chain; signedAt: string }> {
  const [, encoded = '', value = ''] = DETACHED.exec(signature) ?? []
  if (encoded === '' || Buffer.from(value, 'base64url').toString('base64url') !== value)
    throw new SignatureError('expected a JWS in compact form without a payload')
  const header = headerOf(encoded)
  const { alg } = header
  if (typeof alg !== 'string' || !JWS_ALGORITHMS.includes(alg))
    throw new SignatureError(`alg: expected one of ${JWS_ALGORITHMS.join(', ')}, found ${shown(alg)}`)
  if (header.sigD !== undefined)
    throw new SignatureError("sigD: expected a signature over the record's payload alone")
  const signedAt = stated(header)
  const certificates = readCertificates(x5c(header.x5c))
  const [signer] = certificates
  if (signer === undefined) throw new SignatureError('x5c: expected a certificate')
  const thumbprint = createHash('sha256').update(signer.der).digest('base64url')
  if (header['x5t#S256'] !== thumbprint)
    throw new SignatureError(
      `x5t#S256: expected ${thumbprint}, of the first certificate of x5c, found ${shown(header['x5t#S256'])}`,
    )
  checkKey(signer.key, 'signing certificate')
  const content = header.b64 === false ? payload : Buffer.from(payload).toString('base64url')
  try {
    await flattenedVerify({ protected: encoded, payload: content, signature: value }, signer.key, {
      algorithms: [alg],
      crit: { sigT: true, iat: true, 'x5t#S256': true, x5c: true },
    })
  } catch (error) {
    throw new SignatureError(
      'expected a valid signature of the first certificate of x5c over the payload, found one that does not verify',
      error,
    )
  }
  return { chain: orderedChain(certificates), signedAt }
}

function headerOf(encoded: string): Header {
  let value: unknown
  try {
    const bytes = Buffer.from(encoded, 'base64url')
    if (bytes.toString('base64url') !== encoded) throw new SignatureError('expected canonical base64url')
    value = JSON.parse(nativeCodec.utf8Decode(bytes))
  } catch (error) {
    throw new SignatureError('protected header: expected a JSON object in base64url', error)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new SignatureError('protected header: expected a JSON object')
  return value
}

function x5c(value: unknown): Uint8Array[] {
  if (!Array.isArray(value) || value.length === 0)
    throw new SignatureError('x5c: expected certificates in the protected header')
  return value.map((text: unknown, i) => {
    try {
      if (typeof text === 'string') return nativeCodec.base64Decode(text)
    } catch {
      // Reported below.
    }
    throw new SignatureError(`x5c: expected certificate ${i + 1} in canonical base64`)
  })
}

const SIG_T = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/

/** Returns the time of the signature, as stated by the author, in RFC 3339 with milliseconds. */
function stated({ iat, sigT }: Header): string {
  if ((iat === undefined) === (sigT === undefined))
    throw new SignatureError(`iat: expected either iat or sigT, found ${iat === undefined ? 'none' : 'both'}`)
  if (iat !== undefined) {
    if (!Number.isSafeInteger(iat) || Number(iat) < 0 || Number(iat) > 253_402_300_799)
      throw new SignatureError(`iat: expected whole seconds since 1970, found ${shown(iat)}`)
    return new Date(Number(iat) * 1000).toISOString()
  }
  const text = typeof sigT === 'string' && SIG_T.test(sigT) ? sigT.replace('Z', '.000Z') : ''
  if (!isTime(text))
    throw new SignatureError(`sigT: expected a time like 2026-11-22T18:43:00Z, found ${shown(sigT)}`)
  return text
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing'
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 100)) : typeof value
}
