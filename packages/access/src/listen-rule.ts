/** Where may be listened, given who may connect; and what of that can be configured anew while a process runs. */
import { isLoopback, type Listen } from '@service-fs/http/address'
import { HostedError } from '@service-fs/http/errors'
import type { AccessSettings } from './settings.ts'

/** Whoever can connect may do everything. */
export const OPEN: AccessSettings = {
  oidc: [],
  certificates: [],
  rate: {},
  behindTls: false,
  connections: {},
}

/** Whether no credentials are configured. A file of tokens that has none is not that: then nobody may do anything. */
export function isOpen({ tokens, oidc, certificates }: AccessSettings): boolean {
  return tokens === undefined && oidc.length === 0 && certificates.length === 0
}

/**
 * Other machines may connect only where credentials are asked for, and where these do not cross the network in the clear.
 * @throws HostedError `usage`
 */
export function checkListen(listen: Listen, settings: AccessSettings): void {
  if ('path' in listen || isLoopback(listen.host)) return
  const where = `${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${listen.port}`
  if (isOpen(settings)) {
    throw new HostedError(
      'usage',
      `--listen ${where}: no credentials are configured, so only a loopback address (127.0.0.1, [::1]) or a unix socket may be listened on`,
    )
  }
  if (settings.tls !== undefined || settings.behindTls) return
  throw new HostedError(
    'usage',
    `--listen ${where}: credentials would cross the network in the clear: configure tls, or "behindTls": true where a proxy in front has it`,
  )
}

/**
 * Refuses what a process can't take while it runs: to ask for no credentials any more, to begin or to end TLS, or to begin or to end
 * to ask for client certificates.
 * @throws HostedError `access`
 */
export function checkReload(before: AccessSettings, after: AccessSettings): void {
  if (isOpen(after) !== isOpen(before)) throw restart('access', !isOpen(after))
  if ((after.tls === undefined) !== (before.tls === undefined)) throw restart('tls', after.tls !== undefined)
  if ((after.tls?.clientCa === undefined) !== (before.tls?.clientCa === undefined))
    throw restart('tls.clientCa', after.tls?.clientCa !== undefined)
  if (before.behindTls && !after.behindTls) throw restart('access.behindTls', false)
}

function restart(field: string, isThere: boolean): HostedError {
  return new HostedError(
    'access',
    `${field}: ${isThere ? 'was not there' : 'was there'} when the daemon was started: such a change takes a restart`,
  )
}
