/** For tests: certificates and signatures made by openssl, and JWS made with node:crypto alone. */
import { execFileSync } from 'node:child_process'
import { constants, createHash, createPrivateKey, sign, X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export type KeyKind = 'p256' | 'p384' | 'p521' | 'rsa' | 'rsa1024' | 'ed25519' | 'secp256k1'

const NEW_KEY: Readonly<Record<KeyKind, readonly string[]>> = {
  p256: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  p384: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  p521: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-521'],
  rsa: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
  rsa1024: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024'],
  ed25519: ['-algorithm', 'ED25519'],
  secp256k1: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:secp256k1'],
}

/** PEM files with a certificate, its private key, and the certificates above it in the chain. */
export interface Identity {
  readonly certificate: string
  readonly key: string
  readonly issuers: readonly string[]
}

export function openssl(...args: string[]): Buffer {
  return execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] })
}

export interface CertificateOptions {
  kind?: KeyKind
  /** The subject in openssl's form; default `/CN=NAME`. */
  subject?: string
  /** Lines of x509v3_config(5). */
  extensions?: string
  issuer?: Identity
  days?: number
}

export const AUTHORITY = 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n'
export const SIGNER = 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,nonRepudiation\n'

/** Makes a certificate with openssl. If there is no issuer, the certificate's own key signs it. */
export function makeCertificate(
  dir: string,
  name: string,
  { kind = 'p256', subject = `/CN=${name}`, extensions = SIGNER, issuer, days = 30 }: CertificateOptions = {},
): Identity {
  const at = (suffix: string): string => join(dir, `${name}.${suffix}`)
  openssl('genpkey', ...NEW_KEY[kind], '-out', at('key'))
  writeFileSync(at('cnf'), '[req]\ndistinguished_name=dn\n[dn]\n')
  writeFileSync(at('ext'), `${extensions}subjectKeyIdentifier=hash\n`)
  openssl(
    'req',
    '-new',
    '-config',
    at('cnf'),
    '-utf8',
    '-subj',
    subject,
    '-key',
    at('key'),
    '-out',
    at('csr'),
  )
  const by =
    issuer === undefined
      ? ['-signkey', at('key')]
      : ['-CA', issuer.certificate, '-CAkey', issuer.key, '-CAcreateserial']
  openssl(
    'x509',
    '-req',
    '-in',
    at('csr'),
    ...by,
    '-days',
    String(days),
    '-extfile',
    at('ext'),
    '-out',
    at('pem'),
  )
  const issuers = issuer === undefined ? [] : [issuer.certificate, ...issuer.issuers]
  return { certificate: at('pem'), key: at('key'), issuers }
}

/** Makes a root, an authority below it and an author's certificate. */
export function makeAuthor(dir: string, kind: KeyKind = 'p256'): { root: Identity; author: Identity } {
  const root = makeCertificate(dir, `root-${kind}`, { extensions: AUTHORITY })
  const middle = makeCertificate(dir, `middle-${kind}`, {
    extensions: AUTHORITY.replace('TRUE', 'TRUE,pathlen:0'),
    issuer: root,
  })
  const subject = '/C=DE/O=Example, Inc./CN=Alice Ångström'
  return { root, author: makeCertificate(dir, `alice-${kind}`, { kind, subject, issuer: middle }) }
}

export function der(file: string): Buffer {
  return new X509Certificate(readFileSync(file)).raw
}

/** Returns the SHA-256 of a certificate in hex, by openssl. */
export function fingerprint(file: string): string {
  const text = openssl('x509', '-in', file, '-noout', '-fingerprint', '-sha256').toString()
  return text.trim().split('=')[1]?.replaceAll(':', '').toLowerCase() ?? ''
}

/** Returns a detached CAdES signature in DER that openssl makes. `flags` are flags of `openssl cms`. */
export function signCms(
  dir: string,
  payload: Uint8Array,
  author: Identity,
  flags: readonly string[] = ['-cades'],
): Buffer {
  const file = join(dir, 'payload')
  writeFileSync(file, payload)
  const chain = join(dir, 'chain.pem')
  writeFileSync(chain, author.issuers.map((issuer) => readFileSync(issuer, 'utf8')).join(''))
  const more = author.issuers.length === 0 ? [] : ['-certfile', chain]
  const by = ['-signer', author.certificate, '-inkey', author.key, ...more]
  return openssl('cms', '-sign', '-binary', '-in', file, '-outform', 'DER', ...by, ...flags)
}

type Alg = 'ES256' | 'ES384' | 'ES512' | 'RS256' | 'PS256' | 'EdDSA' | 'Ed25519'

export interface JwsOptions {
  alg?: Alg
  /** Changes the protected header; `undefined` removes a member. */
  header?: Readonly<Record<string, unknown>>
  /** Whether the payload is unencoded (RFC 7797). */
  unencoded?: boolean
}

/** Returns a detached JWS in compact form, made in the steps of RFC 7515 §5.1. */
export function signJws(
  payload: Uint8Array,
  author: Identity,
  { alg = 'ES256', header = {}, unencoded = false }: JwsOptions = {},
): string {
  const certificate = der(author.certificate)
  const members = {
    alg,
    x5c: [certificate, ...author.issuers.map(der)].map((one) => one.toString('base64')),
    'x5t#S256': createHash('sha256').update(certificate).digest('base64url'),
    iat: 1_790_000_000,
    ...(unencoded ? { b64: false, crit: ['b64'] } : {}),
    ...header,
  }
  const encoded = Buffer.from(JSON.stringify(members)).toString('base64url')
  const content = unencoded ? payload : Buffer.from(Buffer.from(payload).toString('base64url'))
  const input = Buffer.concat([Buffer.from(`${encoded}.`), content])
  const key = createPrivateKey(readFileSync(author.key))
  const hash = alg.startsWith('Ed') ? null : `sha${alg.slice(2)}`
  const how = alg.startsWith('ES')
    ? { dsaEncoding: 'ieee-p1363' as const }
    : alg === 'PS256'
      ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
      : {}
  return `${encoded}..${sign(hash, input, { key, ...how }).toString('base64url')}`
}
