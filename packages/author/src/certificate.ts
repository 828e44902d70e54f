/** One X.509 certificate (RFC 5280): the fields that Node.js parses, and the extensions that Node.js does not show. */
import { X509Certificate, type KeyObject } from 'node:crypto'
import { sha256Hex } from '@service-fs/native/native'
import { checkKey, SIGNATURES, type Scheme } from './algorithms.ts'
import {
  children,
  contentOf,
  decode,
  elements,
  isTagged,
  isUniversal,
  oidOf,
  rawOf,
  smallInteger,
  TAG,
  timeOf,
  type Node,
} from './asn1.ts'
import { visibleName } from './distinguished-name.ts'
import { SignatureError } from './errors.ts'

export interface Certificate {
  readonly x509: X509Certificate
  readonly der: Uint8Array
  /** The SHA-256 of the certificate in hex. */
  readonly sha256: string
  /** RFC 4514. */
  readonly subject: string
  /** The DER of the issuer's name and of the serial number. */
  readonly issuer: Uint8Array
  readonly serial: Uint8Array
  readonly keyIdentifier: Uint8Array | undefined
  readonly isSelfIssued: boolean
  readonly notBefore: string
  /** The end of the last second in which the certificate is valid. */
  readonly notAfter: string
  readonly key: KeyObject
  readonly schemes: readonly Scheme[]
  /** Whether the certificate's owner may sign other certificates. */
  readonly isAuthority: boolean
  /** The maximum number of authorities below this certificate; undefined when the certificate states no limit. */
  readonly pathLength: number | undefined
  /** Whether the certificate's key may sign documents: its key usage is absent, or names digitalSignature or nonRepudiation. */
  readonly maySign: boolean
  /** Whether the issuer signed the certificate with an allowed algorithm. */
  readonly hasAllowedSignature: boolean
}

const BASIC_CONSTRAINTS = '2.5.29.19'
const KEY_USAGE = '2.5.29.15'
const SUBJECT_KEY_IDENTIFIER = '2.5.29.14'
/**
 * Critical extensions that the checks of this file may ignore: alternative names, policies, extended key usage, statements about
 * qualified certificates. RFC 5280 §4.2 requires readers to reject any other critical extension.
 */
const HARMLESS: ReadonlySet<string> = new Set([
  BASIC_CONSTRAINTS,
  KEY_USAGE,
  SUBJECT_KEY_IDENTIFIER,
  '2.5.29.17',
  '2.5.29.32',
  '2.5.29.37',
  '1.3.6.1.5.5.7.1.3',
])

/** Parses a certificate in DER. `what` names it in errors. @throws SignatureError */
export function readCertificate(der: Uint8Array, what: string): Certificate {
  const x509 = parsed(der, what)
  const [signed, outer, value] = elements(decode(der, what), TAG.sequence, what)
  const tbs = [...elements(signed, TAG.sequence, what)]
  if (isTagged(tbs[0], 0)) tbs.shift()
  const [serial, algorithm, issuer, validity, subject, , ...rest] = tbs
  if (serial === undefined || issuer === undefined || subject === undefined)
    throw new SignatureError(`${what}: expected a certificate, found one without names`)
  checkEnvelope(outer, value, algorithm, what)
  const [from, to] = elements(validity, TAG.sequence, `${what}: validity`)
  const extensions = extensionsOf(
    rest.find((node) => isTagged(node, 3)),
    what,
  )
  const usage = extensions.get(KEY_USAGE)
  const basic = basicConstraints(extensions.get(BASIC_CONSTRAINTS), what)
  const usageBits = usage === undefined ? undefined : keyUsage(usage, what)
  const key = keyOf(x509, what)
  const identifier = extensions.get(SUBJECT_KEY_IDENTIFIER)
  return {
    x509,
    der,
    sha256: sha256Hex(der),
    subject: visibleName(x509),
    issuer: rawOf(issuer),
    serial: rawOf(serial),
    keyIdentifier: identifier && contentOf(decode(identifier, what), TAG.octetString, what),
    isSelfIssued: Buffer.compare(rawOf(issuer), rawOf(subject)) === 0,
    notBefore: timeOf(from, `${what}: notBefore`),
    notAfter: timeOf(to, `${what}: notAfter`).replace('.000Z', '.999Z'),
    key,
    schemes: checkKey(key, what),
    isAuthority: basic.isAuthority && (usageBits === undefined || (usageBits & KEY_CERT_SIGN) !== 0),
    pathLength: basic.pathLength,
    maySign: usageBits === undefined || (usageBits & (DIGITAL_SIGNATURE | NON_REPUDIATION)) !== 0,
    hasAllowedSignature: SIGNATURES[oidOf(elements(algorithm, TAG.sequence, what)[0], what)] !== undefined,
  }
}

/** Checks the parts of a certificate that its signature does not cover (RFC 5280 §4.1.1.2). */
function checkEnvelope(
  outer: Node | undefined,
  value: Node | undefined,
  algorithm: Node | undefined,
  what: string,
): void {
  if (outer === undefined || algorithm === undefined || Buffer.compare(rawOf(outer), rawOf(algorithm)) !== 0)
    throw new SignatureError(
      `${what}: expected the same signature algorithm inside and outside the signed part`,
    )
  if (contentOf(value, TAG.bitString, what)[0] !== 0)
    throw new SignatureError(`${what}: expected a signature of whole bytes`)
}

function parsed(der: Uint8Array, what: string): X509Certificate {
  let x509: X509Certificate
  try {
    x509 = new X509Certificate(der)
  } catch (error) {
    throw new SignatureError(`${what}: expected a certificate in DER`, error)
  }
  // Node.js also accepts PEM, and bytes after the certificate.
  if (Buffer.compare(x509.raw, der) !== 0)
    throw new SignatureError(`${what}: expected only a certificate in DER`)
  return x509
}

function keyOf(x509: X509Certificate, what: string): KeyObject {
  try {
    return x509.publicKey
  } catch (error) {
    throw new SignatureError(`${what}: expected a public key that can be read`, error)
  }
}

/** Returns the contents of the extensions by object identifier. @throws SignatureError for an unknown critical extension */
function extensionsOf(node: Node | undefined, what: string): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>()
  if (node === undefined) return found
  const where = `${what}: extensions`
  for (const extension of elements(children(node, where)[0], TAG.sequence, where)) {
    const [id, ...rest] = elements(extension, TAG.sequence, where)
    const oid = oidOf(id, where)
    const isCritical = isUniversal(rest[0], TAG.boolean) && contentOf(rest[0], TAG.boolean, where)[0] !== 0
    if (isCritical && !HARMLESS.has(oid))
      throw new SignatureError(`${what}: the critical extension ${oid} is not supported`)
    if (found.has(oid)) throw new SignatureError(`${what}: expected the extension ${oid} once`)
    found.set(oid, contentOf(rest.at(-1), TAG.octetString, where))
  }
  return found
}

function basicConstraints(
  bytes: Uint8Array | undefined,
  what: string,
): { isAuthority: boolean; pathLength: number | undefined } {
  if (bytes === undefined) return { isAuthority: false, pathLength: undefined }
  const where = `${what}: basic constraints`
  const [ca, length] = elements(decode(bytes, where), TAG.sequence, where)
  return {
    isAuthority: isUniversal(ca, TAG.boolean) && contentOf(ca, TAG.boolean, where)[0] !== 0,
    pathLength: length === undefined ? undefined : smallInteger(length, where),
  }
}

const DIGITAL_SIGNATURE = 0x80
const NON_REPUDIATION = 0x40
const KEY_CERT_SIGN = 0x04

/** Returns the first eight bits of a key usage (RFC 5280 §4.2.1.3). */
function keyUsage(bytes: Uint8Array, what: string): number {
  const where = `${what}: key usage`
  return contentOf(decode(bytes, where), TAG.bitString, where)[1] ?? 0
}
