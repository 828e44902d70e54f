/** Logs the access settings at the start, each change of them, and the reason when a change is refused. It never logs a secret. */
import { X509Certificate } from 'node:crypto'
import type { CertificateGrant, OidcConfig } from './config.ts'
import type { AccessSettings } from './settings.ts'
import type { StoredToken } from './tokens.ts'

/** Plain values of a log line, named in snake_case; undefined values are left out. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>

/** The part of a process's log that access writes to. */
export interface AccessLog {
  info(message: string, fields?: LogFields): void
  error(error: unknown, fields?: LogFields): void
}

/** A log line for one change. */
export interface Change {
  message: string
  fields: LogFields
}

/** Logs the settings in force. */
export function logAccess(log: AccessLog, settings: AccessSettings): void {
  const { tokens = [], oidc, certificates, tls } = settings
  const valid = tokens.filter(({ revoked }) => revoked === undefined)
  log.info('access is in force', {
    tokens: valid.length,
    issuers: oidc.length,
    certificate_grants: certificates.length,
    ...(tls === undefined ? {} : shownCertificate(tls.certificate)),
  })
}

export function logChanges(log: AccessLog, before: AccessSettings, after: AccessSettings): void {
  for (const { message, fields } of changesBetween(before, after)) log.info(message, fields)
}

/** Logs a refused change. */
export function logRefused(log: AccessLog, error: unknown): void {
  log.error(error, { kept: 'this change was refused; the previous access settings stay in force' })
}

/** Returns the differences, in the order of the settings. */
export function changesBetween(before: AccessSettings, after: AccessSettings): Change[] {
  return [
    ...changedTokens(before.tokens ?? [], after.tokens ?? []),
    ...changed('issuer', before.oidc, after.oidc, ({ issuer }) => issuer, shownIssuer),
    ...changed('certificate grant', before.certificates, after.certificates, grantKey, shownGrant),
    ...(['rate', 'connections', 'behindTls'] as const).flatMap((field) =>
      isSame(before[field], after[field])
        ? []
        : [{ message: 'access setting changed', fields: { field, now: JSON.stringify(after[field]) } }],
    ),
    ...changedTls(before, after),
  ]
}

function changedTokens(before: readonly StoredToken[], after: readonly StoredToken[]): Change[] {
  const old = new Map(before.map((token) => [token.id, token]))
  return changed('token', before, after, ({ id }) => id, shownToken).map((change) => {
    const id = String(change.fields['token_id'])
    const now = after.find((token) => token.id === id)
    const isRevoked = now?.revoked !== undefined && old.get(id)?.revoked === undefined
    return isRevoked ? { ...change, message: 'token revoked' } : change
  })
}

/** Returns the entries of a list that were added, removed or changed; `keyOf` identifies an entry. */
function changed<T>(
  kind: string,
  before: readonly T[],
  after: readonly T[],
  keyOf: (entry: T) => string,
  shown: (entry: T) => LogFields,
): Change[] {
  const old = new Map(before.map((entry) => [keyOf(entry), entry]))
  const now = new Map(after.map((entry) => [keyOf(entry), entry]))
  const changes: Change[] = []
  for (const [key, entry] of now) {
    const was = old.get(key)
    if (was === undefined) changes.push({ message: `${kind} added`, fields: shown(entry) })
    else if (!isSame(was, entry)) changes.push({ message: `${kind} changed`, fields: shown(entry) })
  }
  for (const [key, entry] of old)
    if (!now.has(key)) changes.push({ message: `${kind} removed`, fields: shown(entry) })
  return changes
}

function changedTls(before: AccessSettings, after: AccessSettings): Change[] {
  const changes: Change[] = []
  const [old, now] = [before.tls, after.tls]
  if (now !== undefined && now.certificate !== old?.certificate)
    changes.push({ message: 'TLS certificate changed', fields: shownCertificate(now.certificate) })
  if (now !== undefined && now.clientCa !== undefined && now.clientCa !== old?.clientCa)
    changes.push({ message: 'client CA changed', fields: shownCertificate(now.clientCa) })
  return changes
}

function shownToken({ id, name, tenant, roles, expires, revoked }: StoredToken): LogFields {
  return { token_id: id, subject: `token:${name}`, for: tenant, roles: roles.join(' '), expires, revoked }
}

function shownIssuer({ issuer, audience, grants }: OidcConfig): LogFields {
  return { issuer, audience, grants: grants.length }
}

function grantKey({ name, tenant, subject, fingerprint256 }: CertificateGrant): string {
  return JSON.stringify([name, tenant, subject, fingerprint256])
}

function shownGrant({ name, tenant, roles, subject, fingerprint256 }: CertificateGrant): LogFields {
  const meant = { distinguished_name: subject, fingerprint256 }
  return { subject: `cert:${name}`, for: tenant, roles: roles.join(' '), ...meant }
}

/** Describes the first certificate of a PEM text. */
function shownCertificate(pem: string): LogFields {
  const certificate = new X509Certificate(pem)
  return {
    fingerprint256: certificate.fingerprint256,
    not_after: new Date(certificate.validTo).toISOString(),
  }
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
