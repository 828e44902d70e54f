/** Client certificates (mutual TLS) as credentials. */
import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { CertificateGrant, Principal } from './config.ts'

export class Certificates {
  readonly #entries: readonly CertificateGrant[]

  constructor(entries: readonly CertificateGrant[]) {
    this.#entries = entries
  }

  /** Returns the owner of the connection's client certificate, if `clientCa` signed it, it is not expired, and a grant names it. */
  principal(socket: Socket): Principal | undefined {
    if (this.#entries.length === 0 || !(socket instanceof TLSSocket) || !socket.authorized) return undefined
    const certificate = socket.getPeerX509Certificate()
    if (certificate === undefined || Date.parse(certificate.validTo) <= Date.now()) return undefined
    const grants = this.#entries.filter((entry) => isMeant(entry, certificate))
    const [first] = grants
    return first === undefined ? undefined : { subject: `cert:${first.name}`, grants }
  }
}

function isMeant(entry: CertificateGrant, certificate: X509Certificate): boolean {
  if (entry.fingerprint256 !== undefined)
    return plain(entry.fingerprint256) === plain(certificate.fingerprint256)
  return entry.subject === distinguishedName(certificate)
}

function plain(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toLowerCase()
}

/**
 * Returns a certificate's subject in the form of RFC 2253. Node.js returns one line per relative name, from the root down. It
 * escapes values as in RFC 2253, and puts ` + ` between the values of one name. Escaped values cannot contain these separators.
 */
export function distinguishedName(certificate: Pick<X509Certificate, 'subject'>): string {
  return certificate.subject
    .split('\n')
    .toReversed()
    .map((line) => line.split(' + ').toReversed().join('+'))
    .join(',')
}
