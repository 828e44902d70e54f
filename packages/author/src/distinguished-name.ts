import type { X509Certificate } from 'node:crypto'

/** Characters that OpenSSL does not escape and that could mislead a reader: controls, line separators, bidirectional controls. */
// oxlint-disable-next-line no-control-regex
const UNFIT = /[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g

/**
 * Returns the subject of a certificate in the form of RFC 4514. Node.js returns one line per relative name, from the root down. It
 * escapes values as in RFC 4514, and puts ` + ` between the values of one name. Escaped values cannot contain these separators.
 */
export function distinguishedName({ subject }: Pick<X509Certificate, 'subject'>): string {
  return (subject ?? '')
    .split('\n')
    .toReversed()
    .map((line) => line.split(' + ').toReversed().join('+'))
    .join(',')
}

/** Returns the subject like {@link distinguishedName}, in one line of visible characters. */
export function visibleName(certificate: Pick<X509Certificate, 'subject'>): string {
  return distinguishedName(certificate).toWellFormed().replaceAll(UNFIT, escaped)
}

/** Returns a character with each byte escaped as in RFC 4514 §2.4. */
function escaped(character: string): string {
  return Buffer.from(character, 'utf8')
    .toString('hex')
    .toUpperCase()
    .replaceAll(/../g, String.raw`\$&`)
}
