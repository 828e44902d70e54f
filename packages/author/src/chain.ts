/** Chains of certificates: their shape, their validity, and the operator's trust anchors. Nothing is fetched, so revocation is not checked. */
import { X509Certificate } from 'node:crypto'
import { MAX_CERTIFICATES, MAX_SUBJECT_BYTES } from '@service-fs/format/author'
import { messageOf } from '@service-fs/format/errors'
import { readCertificate, type Certificate } from './certificate.ts'
import { SignatureError } from './errors.ts'

/** Trust anchors are few, and short. */
const MAX_ANCHORS_CHARACTERS = 1_048_576

/** A chain whose shape is checked: each certificate is certified by the next one. */
export interface Chain {
  readonly signer: Certificate
  /** The certificates above the signing certificate; its issuer is the first. */
  readonly others: readonly Certificate[]
  /** All certificates of the chain are valid from this time until {@link notAfter}. */
  readonly notBefore: string
  readonly notAfter: string
}

/** Parses certificates in DER. @throws SignatureError */
export function readCertificates(ders: readonly Uint8Array[]): Certificate[] {
  if (ders.length === 0 || ders.length > MAX_CERTIFICATES)
    throw new SignatureError(
      `certificates: expected 1 to ${MAX_CERTIFICATES} certificates, found ${ders.length}`,
    )
  return ders.map((der, i) => readCertificate(der, `certificate ${i + 1}`))
}

/**
 * Returns the chain of certificates that are already in order, beginning with the signing certificate (RFC 7515 §4.1.6).
 * @throws SignatureError
 */
export function orderedChain(certificates: readonly Certificate[]): Chain {
  const [signer, ...others] = certificates
  if (signer === undefined) throw new SignatureError('certificates: expected at least one')
  return checked(signer, others)
}

/** Returns the chain that begins with `signer` and has all of the certificates, which may be in any order. @throws SignatureError */
export function chainFrom(signer: Certificate, certificates: readonly Certificate[]): Chain {
  const others: Certificate[] = []
  for (let last = signer; !last.isSelfIssued;) {
    const next = certificates.find(
      (one) => one !== signer && !others.includes(one) && last.x509.checkIssued(one.x509),
    )
    if (next === undefined) break
    others.push(next)
    last = next
  }
  if (others.length + 1 < certificates.length)
    throw new SignatureError(
      `certificates: expected one chain, found ${certificates.length - others.length - 1} outside of it`,
    )
  return checked(signer, others)
}

function checked(signer: Certificate, others: readonly Certificate[]): Chain {
  const bytes = Buffer.byteLength(signer.subject)
  if (bytes === 0 || bytes > MAX_SUBJECT_BYTES)
    throw new SignatureError(
      `signing certificate: expected a subject of 1 to ${MAX_SUBJECT_BYTES} bytes, found ${bytes}`,
    )
  if (!signer.maySign)
    throw new SignatureError(
      'signing certificate: expected the key usage digitalSignature or nonRepudiation, found another key usage',
    )
  const all = [signer, ...others]
  for (const [i, issuer] of others.entries()) {
    const problem = issueProblem(all[i] as Certificate, issuer, i)
    if (problem !== undefined)
      throw new SignatureError(`certificate ${i + 1} of the chain: expected ${problem}`)
  }
  const last = all.at(-1) as Certificate
  if (last.isSelfIssued && !isSignedBy(last, last))
    throw new SignatureError(
      `certificate ${all.length} of the chain: expected a valid signature by its own key`,
    )
  return {
    signer,
    others,
    notBefore: all.map(({ notBefore }) => notBefore).reduce((a, b) => (a > b ? a : b)),
    notAfter: all.map(({ notAfter }) => notAfter).reduce((a, b) => (a < b ? a : b)),
  }
}

/**
 * Returns the first unmet expectation if `issuer` did not certify `certificate`; `below` is the number of authorities below `certificate`.
 */
function issueProblem(certificate: Certificate, issuer: Certificate, below: number): string | undefined {
  if (!certificate.hasAllowedSignature) return 'an allowed signature algorithm'
  if (!issuer.isAuthority) return 'an issuer that may sign certificates'
  if (issuer.pathLength !== undefined && below > issuer.pathLength)
    return `at most ${issuer.pathLength} authorities below its issuer`
  if (!certificate.x509.checkIssued(issuer.x509)) return 'the next certificate to be its issuer'
  return isSignedBy(certificate, issuer) ? undefined : 'the signature of its issuer'
}

function isSignedBy(certificate: Certificate, issuer: Certificate): boolean {
  try {
    return certificate.x509.verify(issuer.key)
  } catch {
    return false
  }
}

/** The certificates that an operator trusts: authorities, or the certificates of authors themselves. */
export class Anchors {
  readonly #certificates: readonly Certificate[]

  private constructor(certificates: readonly Certificate[]) {
    this.#certificates = certificates
  }

  /** Reads certificates in PEM. @throws SignatureError */
  static fromPem(text: string): Anchors {
    if (text.length > MAX_ANCHORS_CHARACTERS)
      throw new SignatureError(`expected at most ${MAX_ANCHORS_CHARACTERS} bytes, found ${text.length}`)
    const blocks = text.match(PEM) ?? []
    if (blocks.length === 0) throw new SignatureError('expected certificates in PEM, found none')
    return new Anchors(
      blocks.map((block, i) => {
        const what = `certificate ${i + 1}`
        let der: Uint8Array
        try {
          der = new X509Certificate(block).raw
        } catch (error) {
          throw new SignatureError(`${what}: expected a certificate in PEM: ${messageOf(error)}`, error)
        }
        return readCertificate(der, what)
      }),
    )
  }

  /** Returns the anchor of a chain: one of its certificates, or the issuer of its last certificate. */
  of(chain: Chain): Certificate | undefined {
    const all = [chain.signer, ...chain.others]
    for (const certificate of all) {
      const found = this.#certificates.find(({ sha256 }) => sha256 === certificate.sha256)
      if (found !== undefined) return found
    }
    const last = all.at(-1) as Certificate
    return this.#certificates.find((anchor) => issueProblem(last, anchor, all.length - 1) === undefined)
  }
}

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g
