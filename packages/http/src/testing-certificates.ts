/** For tests: makes certificates with openssl. */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Whether openssl is installed. */
export const hasOpenssl: boolean = (() => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

export interface CertificateFiles {
  certificate: string
  key: string
}

export function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** Makes a certificate authority. */
export function makeCa(dir: string, name: string): CertificateFiles {
  const files = { certificate: join(dir, `${name}.pem`), key: join(dir, `${name}.key`) }
  openssl(
    'req',
    '-x509',
    ...EC,
    '-days',
    '30',
    '-subj',
    `/CN=${name}`,
    '-keyout',
    files.key,
    '-out',
    files.certificate,
  )
  return files
}

/** Makes a certificate for 127.0.0.1 and for clients. `subject` is in openssl's form: `/O=Example/CN=robot`. */
export function issue(
  dir: string,
  name: string,
  ca: CertificateFiles,
  { subject = `/CN=${name}`, dates = [] }: { subject?: string; dates?: string[] } = {},
): CertificateFiles {
  const files = { certificate: join(dir, `${name}.pem`), key: join(dir, `${name}.key`) }
  const request = join(dir, `${name}.csr`)
  openssl('req', '-new', ...EC, '-utf8', '-subj', subject, '-keyout', files.key, '-out', request)
  const extensions = join(dir, `${name}.ext`)
  writeFileSync(
    extensions,
    'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n',
  )
  const how = dates.length === 0 ? ['-days', '30'] : dates
  const by = ['-CA', ca.certificate, '-CAkey', ca.key, '-CAcreateserial']
  openssl('x509', '-req', '-in', request, ...by, ...how, '-extfile', extensions, '-out', files.certificate)
  return files
}
