/** The access configuration: "access" and "tls" of host.json, or of the file that `serve --access` names. */
import { isIP } from 'node:net'
import { hostName, isLocalName } from '@service-fs/wire/host-name'
import type { Role } from '@service-fs/wire/roles'
import * as v from 'valibot'
import type { ConnectionsConfig } from '@service-fs/http/connections'
import { rolesSchema, tenantSchema } from './schemas.ts'

/** Grants roles for one tenant, or for all of them (`*`). */
export interface Grant {
  tenant: string
  roles: readonly Role[]
}

/** The owner of valid credentials, with all grants. */
export interface Principal {
  subject: string
  grants: readonly Grant[]
}

/** Grants roles to tokens whose claim has the value. A claim that is a list, or a space-separated `scope`, must contain the value. */
export interface ClaimGrant extends Grant {
  /** The name of a claim, or else a path into nested claims, such as `realm_access.roles`. */
  claim: string
  value: string
}

export interface OidcConfig {
  /** The exact `iss` of the issuer's tokens: an https URL, or an http URL on a loopback address. */
  issuer: string
  /** The name of this service at the issuer. The claim `aud` must equal or contain it. */
  audience: string
  /** Default: `jwks_uri` of `<issuer>/.well-known/openid-configuration`. */
  jwksUri?: string
  /** A PEM file with the authorities for the issuer's certificate, which replace the authorities known to Node.js. */
  ca?: string
  /** The claim that names the subject. Default: `sub`. */
  subjectClaim?: string
  grants: readonly ClaimGrant[]
}

/** Identifies a client certificate signed by `tls.clientCa`, by either `subject` or `fingerprint256`. */
export interface CertificateGrant extends Grant {
  /** The distinguished name in RFC 2253 form, as `openssl x509 -noout -subject -nameopt RFC2253,-esc_msb,utf8` prints it. */
  subject?: string
  /** SHA-256 of the certificate in hexadecimal, with or without colons, in upper or lower case. */
  fingerprint256?: string
  name: string
}

export interface RateConfig {
  /** Requests per second of a subject. Absent: unlimited. */
  requestsPerSecond?: number
  /** Further requests of a subject within ten seconds. Default: `requestsPerSecond`. */
  burst?: number
  /** Requests without valid credentials per minute from one address. Default: 60. */
  failuresPerMinute?: number
}

export interface AccessConfig {
  /** The file that `service-fs token` writes. */
  tokens?: string
  oidc?: readonly OidcConfig[]
  certificates?: readonly CertificateGrant[]
  rate?: RateConfig
  /** A proxy in front terminates TLS, so the daemon may listen without TLS on addresses other than loopback. */
  behindTls?: boolean
  /** Limits on connections. */
  connections?: ConnectionsConfig
}

/** Paths of PEM files. */
export interface TlsConfig {
  /** The certificate, followed by its chain. */
  certificate: string
  key: string
  /** The authorities that sign client certificates. */
  clientCa?: string
}

const text: v.GenericSchema<string> = v.pipe(v.string(), v.minLength(1, 'expected a text'))
const file: v.GenericSchema<string> = v.pipe(v.string(), v.minLength(1, 'expected the path of a file'))
const count: v.GenericSchema<number> = v.pipe(
  v.number(),
  v.integer('expected an integer'),
  v.minValue(1, 'expected at least 1'),
)

const url: v.GenericSchema<string> = v.pipe(
  v.string(),
  v.check(isSecure, 'expected https://…, or http:// on a loopback address, without query and fragment'),
)

/**
 * Reports whether a URL's server is authenticated: https, or http on a loopback address. Rejects a user and a fragment, and a query
 * unless it is allowed.
 */
export function isSecure(source: string, query?: 'query'): boolean {
  if (!URL.canParse(source)) return false
  const { protocol, host, search, hash, username, password } = new URL(source)
  if ((search !== '' && query === undefined) || hash !== '' || username !== '' || password !== '')
    return false
  return protocol === 'https:' || (protocol === 'http:' && isLocalName(hostName(host)))
}

const network: v.GenericSchema<string> = v.pipe(
  v.string(),
  v.check(isNetwork, 'expected an address, or a network such as 10.0.0.0/8 or fd00::/64'),
)

function isNetwork(value: string): boolean {
  const [address = '', prefix] = value.split('/')
  const bits = isIP(address) === 4 ? 32 : isIP(address) === 6 ? 128 : -1
  return bits > 0 && (prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits))
}

const grant = { tenant: tenantSchema, roles: rolesSchema }

const oidc: v.GenericSchema<OidcConfig> = v.strictObject({
  issuer: url,
  audience: text,
  jwksUri: v.exactOptional(url),
  ca: v.exactOptional(file),
  subjectClaim: v.exactOptional(text),
  grants: v.pipe(
    v.array(v.strictObject({ claim: text, value: text, ...grant })),
    v.minLength(1, 'expected at least one grant'),
  ),
})

const certificate: v.GenericSchema<CertificateGrant> = v.pipe(
  v.strictObject({
    subject: v.exactOptional(text),
    fingerprint256: v.exactOptional(
      v.pipe(v.string(), v.regex(/^[0-9a-f]{2}(?::?[0-9a-f]{2}){31}$/i, 'expected 32 bytes in hexadecimal')),
    ),
    name: v.pipe(v.string(), v.regex(/^[\x21-\x7e]{1,64}$/, 'expected 1 to 64 visible ASCII characters')),
    ...grant,
  }),
  v.check(
    (entry) => (entry.subject === undefined) !== (entry.fingerprint256 === undefined),
    'expected one of subject and fingerprint256',
  ),
)

export const AccessConfig: v.GenericSchema<AccessConfig> = v.strictObject({
  tokens: v.exactOptional(file),
  oidc: v.exactOptional(
    v.pipe(
      v.array(oidc),
      v.check(
        (list) => new Set(list.map(({ issuer }) => issuer)).size === list.length,
        'expected each issuer once',
      ),
    ),
  ),
  certificates: v.exactOptional(v.array(certificate)),
  rate: v.exactOptional(
    v.strictObject({
      requestsPerSecond: v.exactOptional(count),
      burst: v.exactOptional(count),
      failuresPerMinute: v.exactOptional(count),
    }),
  ),
  behindTls: v.exactOptional(v.boolean()),
  connections: v.exactOptional(
    v.strictObject({
      max: v.exactOptional(count),
      perAddress: v.exactOptional(count),
      proxies: v.exactOptional(v.array(network)),
    }),
  ),
})

export const TlsConfig: v.GenericSchema<TlsConfig> = v.strictObject({
  certificate: file,
  key: file,
  clientCa: v.exactOptional(file),
})
