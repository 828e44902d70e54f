/** The signature algorithms and keys that signatures and certificates may have. */
import type { KeyObject } from 'node:crypto'
import { oidOf, type Node } from './asn1.ts'
import { SignatureError } from './errors.ts'

/** A hash by its name in node:crypto. */
export type HashName = 'sha256' | 'sha384' | 'sha512'

/** Hashes by object identifier (RFC 5754). */
const HASHES: Readonly<Record<string, HashName>> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
}

/** Returns the hash that an object identifier names. @throws SignatureError */
export function hashOf(node: Node | undefined, what: string): HashName {
  const oid = oidOf(node, what)
  const hash = HASHES[oid]
  if (hash === undefined)
    throw new SignatureError(`${what}: expected SHA-256, SHA-384 or SHA-512, found ${oid}`)
  return hash
}

/** The kind of a signature. {@link checkKey} checks its key. */
export type Scheme = 'rsa' | 'pss' | 'ecdsa' | 'ed25519'

/** Signature algorithms by object identifier. If `hash` is absent, the parameters or the digest algorithm name the hash. */
export const SIGNATURES: Readonly<Record<string, { scheme: Scheme; hash?: HashName }>> = {
  '1.2.840.113549.1.1.1': { scheme: 'rsa' },
  '1.2.840.113549.1.1.11': { scheme: 'rsa', hash: 'sha256' },
  '1.2.840.113549.1.1.12': { scheme: 'rsa', hash: 'sha384' },
  '1.2.840.113549.1.1.13': { scheme: 'rsa', hash: 'sha512' },
  '1.2.840.113549.1.1.10': { scheme: 'pss' },
  '1.2.840.10045.4.3.2': { scheme: 'ecdsa', hash: 'sha256' },
  '1.2.840.10045.4.3.3': { scheme: 'ecdsa', hash: 'sha384' },
  '1.2.840.10045.4.3.4': { scheme: 'ecdsa', hash: 'sha512' },
  '1.3.101.112': { scheme: 'ed25519' },
}

const MIN_RSA_BITS = 2048
/** Verifying with a longer key is slow. */
const MAX_RSA_BITS = 8192
const MAX_RSA_EXPONENT = 0xffff_ffffn
const CURVES: ReadonlySet<string> = new Set(['prime256v1', 'secp384r1', 'secp521r1'])

/** Returns the signature schemes for which a public key may be used. @throws SignatureError */
export function checkKey(key: KeyObject, what: string): readonly Scheme[] {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  if (type === 'ed25519') return ['ed25519']
  if (type === 'ec') {
    const curve = details?.namedCurve ?? 'none'
    if (CURVES.has(curve)) return ['ecdsa']
    throw new SignatureError(`${what}: expected the curve P-256, P-384 or P-521, found ${curve}`)
  }
  if (type !== 'rsa' && type !== 'rsa-pss')
    throw new SignatureError(`${what}: expected an RSA, EC or Ed25519 key, found ${type ?? 'another'}`)
  const bits = details?.modulusLength ?? 0
  if (bits < MIN_RSA_BITS || bits > MAX_RSA_BITS)
    throw new SignatureError(
      `${what}: expected an RSA key of ${MIN_RSA_BITS} to ${MAX_RSA_BITS} bits, found ${bits}`,
    )
  if ((details?.publicExponent ?? 0n) > MAX_RSA_EXPONENT)
    throw new SignatureError(`${what}: expected an RSA exponent of at most 32 bits`)
  return type === 'rsa' ? ['rsa', 'pss'] : ['pss']
}
