/** Detached CAdES signatures: CMS SignedData (RFC 5652) with the signed attributes of ETSI EN 319 122-1, level B-B. */
import { constants, createHash, verify } from 'node:crypto'
import { checkedAttributes, type SignedAttributes } from './cades-attributes.ts'
import { hashOf, SIGNATURES, type HashName, type Scheme } from './algorithms.ts'
import {
  children,
  contentOf,
  decode,
  elements,
  isTagged,
  isUniversal,
  oidOf,
  primitive,
  rawOf,
  smallInteger,
  TAG,
  type Node,
} from './asn1.ts'
import type { Certificate } from './certificate.ts'
import { chainFrom, readCertificates, type Chain } from './chain.ts'
import { SignatureError } from './errors.ts'

const DATA = '1.2.840.113549.1.7.1'
const SIGNED_DATA = '1.2.840.113549.1.7.2'
const MGF1 = '1.2.840.113549.1.1.8'

/** Verifies a signature over `payload`. Returns its chain and the stated time. @throws SignatureError */
export async function verifyCades(
  payload: Uint8Array,
  signature: Uint8Array,
): Promise<{ chain: Chain; signedAt: string }> {
  const { certificates, digests, signer } = signedData(decode(signature, 'signature'))
  const info = signerInfo(signer)
  const [digestAlgorithm, ...more] = elements(digests, TAG.set, 'digestAlgorithms')
  if (digestOf(digestAlgorithm, 'digestAlgorithms') !== info.hash || more.length > 0)
    throw new SignatureError(`digestAlgorithms: expected only ${info.hash}, which the signer uses`)
  const attributes = checkedAttributes(info.attributes)
  const certificate = signingCertificate(certificates, attributes, info.sid)
  const digest = createHash(info.hash).update(payload).digest()
  if (Buffer.compare(digest, attributes.messageDigest) !== 0)
    throw new SignatureError("messageDigest: expected the digest of the record's payload, found another")
  if (!certificate.schemes.includes(info.scheme))
    throw new SignatureError(
      `signatureAlgorithm: expected an algorithm that fits the key of the signing certificate`,
    )
  if (!(await isValid(info, certificate)))
    throw new SignatureError(
      'expected a valid signature of the signing certificate, found one that does not verify',
    )
  return { chain: chainFrom(certificate, certificates), signedAt: attributes.signingTime }
}

interface SignerInfo {
  readonly sid: Node
  readonly hash: HashName
  readonly attributes: Node
  readonly scheme: Scheme
  /** The length of the salt of RSASSA-PSS. */
  readonly salt: number | undefined
  readonly signature: Uint8Array
}

/** Reads a ContentInfo with a SignedData (RFC 5652 §3, §5.1). */
function signedData(root: Node): { certificates: Certificate[]; digests: Node | undefined; signer: Node } {
  const [type, content] = elements(root, TAG.sequence, 'signature')
  if (oidOf(type, 'contentType') !== SIGNED_DATA)
    throw new SignatureError('contentType: expected signed data, found another type')
  if (!isTagged(content, 0)) throw new SignatureError('content: expected [0]')
  const [version, digests, encapsulated, ...rest] = elements(
    children(content, 'content')[0],
    TAG.sequence,
    'SignedData',
  )
  const versionNumber = smallInteger(version, 'version')
  if (versionNumber !== 1 && versionNumber !== 3)
    throw new SignatureError(`version: expected 1 or 3, found ${versionNumber}`)
  const [contentType, eContent] = elements(encapsulated, TAG.sequence, 'encapContentInfo')
  if (oidOf(contentType, 'eContentType') !== DATA)
    throw new SignatureError('eContentType: expected the type data, found another type')
  if (eContent !== undefined)
    throw new SignatureError('eContent: expected a detached signature, found one with content')
  const ders = isTagged(rest[0], 0) ? children(rest.shift(), 'certificates') : []
  if (isTagged(rest[0], 1)) rest.shift()
  const signers = elements(rest[0], TAG.set, 'signerInfos')
  const [signer] = signers
  if (signer === undefined || signers.length !== 1 || rest.length !== 1)
    throw new SignatureError(`signerInfos: expected one signature, found ${signers.length}`)
  for (const der of ders)
    if (!isUniversal(der, TAG.sequence))
      throw new SignatureError('certificates: expected X.509 certificates, found another kind')
  return { certificates: readCertificates(ders.map(rawOf)), digests, signer }
}

/** Reads a SignerInfo (RFC 5652 §5.3). */
function signerInfo(node: Node): SignerInfo {
  const [version, sid, digest, attributes, algorithm, signature] = elements(node, TAG.sequence, 'SignerInfo')
  const expected = isTagged(sid, 0) ? 3 : 1
  if (smallInteger(version, 'SignerInfo version') !== expected)
    throw new SignatureError(`SignerInfo version: expected ${expected}, found another version`)
  if (sid === undefined || attributes === undefined || !isTagged(attributes, 0))
    throw new SignatureError('signedAttrs: expected signed attributes, found none')
  const hash = digestOf(digest, 'digestAlgorithm')
  const [id, parameters] = elements(algorithm, TAG.sequence, 'signatureAlgorithm')
  const oid = oidOf(id, 'signatureAlgorithm')
  const known = SIGNATURES[oid]
  if (known === undefined)
    throw new SignatureError(`signatureAlgorithm: expected an allowed algorithm, found ${oid}`)
  if (known.hash !== undefined && known.hash !== hash)
    throw new SignatureError(
      `signatureAlgorithm: expected ${hash}, the digest algorithm, found ${known.hash}`,
    )
  if (known.scheme !== 'pss') checkNoParameters(parameters, 'signatureAlgorithm')
  return {
    sid,
    hash,
    attributes,
    scheme: known.scheme,
    salt: known.scheme === 'pss' ? saltLength(parameters, hash) : undefined,
    signature: contentOf(signature, TAG.octetString, 'signature'),
  }
}

/** Returns the hash of a digest algorithm. */
function digestOf(node: Node | undefined, what: string): HashName {
  const [id, parameters] = elements(node, TAG.sequence, what)
  checkNoParameters(parameters, what)
  return hashOf(id, what)
}

/** The parameters of these algorithms are absent or NULL (RFC 5754 §2, §3.2). */
function checkNoParameters(parameters: Node | undefined, what: string): void {
  if (parameters !== undefined && !(isUniversal(parameters, TAG.null) && rawOf(parameters).length === 2))
    throw new SignatureError(`${what}: expected no parameters`)
}

/** Returns the salt length of RSASSA-PSS parameters (RFC 4055 §3.1), which must name the same hash everywhere. */
function saltLength(parameters: Node | undefined, hash: HashName): number {
  const what = 'RSASSA-PSS parameters'
  const found = new Map<number, Node>()
  for (const node of elements(parameters, TAG.sequence, what)) {
    const inner = children(node, what)[0]
    if (inner !== undefined) found.set(node.idBlock.tagNumber, inner)
  }
  const [generator, over] = elements(found.get(1), TAG.sequence, what)
  const hashes = [elements(found.get(0), TAG.sequence, what)[0], elements(over, TAG.sequence, what)[0]]
  if (oidOf(generator, what) !== MGF1 || hashes.some((node) => hashOf(node, what) !== hash))
    throw new SignatureError(`${what}: expected MGF1 and ${hash} everywhere`)
  return smallInteger(found.get(2), what)
}

/** Returns the certificate that both the signed attribute and the signer's identifier name. @throws SignatureError */
function signingCertificate(
  certificates: readonly Certificate[],
  { certificateHash, hash }: SignedAttributes,
  sid: Node,
): Certificate {
  const found = certificates.find(
    ({ der }) => Buffer.compare(createHash(hash).update(der).digest(), certificateHash) === 0,
  )
  if (found === undefined)
    throw new SignatureError('signing-certificate-v2: expected one of the certificates, found none of them')
  if (!isNamed(found, sid))
    throw new SignatureError(
      'sid: expected the certificate of signing-certificate-v2, found another certificate',
    )
  return found
}

function isNamed({ issuer, serial, keyIdentifier }: Certificate, sid: Node): boolean {
  if (isTagged(sid, 0))
    return keyIdentifier !== undefined && Buffer.compare(primitive(sid), keyIdentifier) === 0
  const [name, number] = elements(sid, TAG.sequence, 'sid')
  if (name === undefined || number === undefined) return false
  return Buffer.compare(rawOf(name), issuer) === 0 && Buffer.compare(rawOf(number), serial) === 0
}

function isValid(
  { attributes, scheme, hash, salt, signature }: SignerInfo,
  { key }: Certificate,
): Promise<boolean> {
  // RFC 5652 §5.4: the signature is over the attributes with the tag of a SET.
  const signed = Buffer.from(rawOf(attributes))
  signed[0] = 0x31
  const padding =
    scheme === 'rsa'
      ? { padding: constants.RSA_PKCS1_PADDING }
      : scheme === 'pss'
        ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: salt }
        : {}
  return new Promise((resolve) => {
    try {
      verify(scheme === 'ed25519' ? null : hash, signed, { key, ...padding }, signature, (error, result) =>
        resolve(error === null && result),
      )
    } catch {
      resolve(false)
    }
  })
}
