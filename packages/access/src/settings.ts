/** The access settings: the configuration with the contents of the files that it names. */
import { dirname, resolve } from 'node:path'
import * as v from 'valibot'
import type { ConnectionsConfig } from '@service-fs/http/connections'
import { HostedError } from '@service-fs/http/errors'
import type { TlsMaterial } from '@service-fs/http/listener'
import { AccessConfig, type CertificateGrant, type OidcConfig, type RateConfig, TlsConfig } from './config.ts'
import { parseStrictly } from './schemas.ts'
import { readGuarded } from './guarded-file.ts'
import { readCertificates, readTls } from './tls.ts'
import { readTokens, type StoredToken } from './tokens.ts'

/** The settings, read from the files once. They are plain JSON, so that a process that may not read the files can receive them. */
export interface AccessSettings {
  /** The tokens; absent if no file of tokens is configured. */
  tokens?: readonly StoredToken[]
  /** The configured issuers. `ca` holds the certificates, not their path. */
  oidc: readonly OidcConfig[]
  certificates: readonly CertificateGrant[]
  rate: RateConfig
  behindTls: boolean
  connections: ConnectionsConfig
  tls?: TlsMaterial
}

/** The configuration, and the base of its relative paths (default: the working directory). */
export interface AccessFiles {
  access?: AccessConfig | undefined
  tls?: TlsConfig | undefined
  base?: string | undefined
}

/**
 * Reads the files that the configuration names.
 * @throws HostedError `access`: a file is missing, exposed or malformed, a key does not match its certificate, or `tls.clientCa` is missing
 */
export async function loadAccess(
  access: AccessConfig | undefined,
  tls: TlsConfig | undefined,
  base: string = process.cwd(),
): Promise<AccessSettings> {
  const certificates = access?.certificates ?? []
  if (certificates.length > 0 && tls?.clientCa === undefined)
    throw new HostedError(
      'access',
      'access.certificates: expected tls.clientCa, the authority that signs them, found none',
    )
  return {
    ...(access?.tokens === undefined ? {} : { tokens: await readTokens(resolve(base, access.tokens)) }),
    oidc: await Promise.all((access?.oidc ?? []).map((issuer) => withCa(issuer, base))),
    certificates,
    rate: access?.rate ?? {},
    behindTls: access?.behindTls ?? false,
    connections: access?.connections ?? {},
    ...(tls === undefined ? {} : { tls: await readTls(absolute(tls, base)) }),
  }
}

async function withCa(issuer: OidcConfig, base: string): Promise<OidcConfig> {
  return issuer.ca === undefined
    ? issuer
    : { ...issuer, ca: await readCertificates(resolve(base, issuer.ca)) }
}

function absolute(tls: TlsConfig, base: string): TlsConfig {
  const { certificate: chain, key, clientCa } = tls
  return {
    certificate: resolve(base, chain),
    key: resolve(base, key),
    ...(clientCa === undefined ? {} : { clientCa: resolve(base, clientCa) }),
  }
}

/** Returns the absolute paths of the files that `loadAccess` reads. */
export function filesOf({ access, tls, base = process.cwd() }: AccessFiles): string[] {
  const authorities = access?.oidc?.map(({ ca }) => ca) ?? []
  const named = [access?.tokens, tls?.certificate, tls?.key, tls?.clientCa, ...authorities]
  return named.filter((path) => path !== undefined).map((path) => resolve(base, path))
}

const accessFile: v.GenericSchema<{ access: AccessConfig; tls?: TlsConfig }> = v.strictObject({
  access: AccessConfig,
  tls: v.exactOptional(TlsConfig),
})

/** Reads an access file. The paths in it are relative to the file. @throws HostedError `access` */
export async function readAccessFile(path: string): Promise<AccessFiles & { from: readonly string[] }> {
  const found = parseStrictly(accessFile, await readGuarded(path, 'public'), path)
  return { ...found, base: dirname(path), from: [path] }
}
