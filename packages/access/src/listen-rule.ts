/** Checks whether the settings allow the daemon to listen on an address, and whether a running process can apply changed settings. */
import { isLoopback, type Listen } from '@service-fs/http/address'
import { HostedError } from '@service-fs/http/errors'
import type { AccessSettings } from './settings.ts'

/** Settings without credentials: every client may do everything. */
export const OPEN: AccessSettings = {
  oidc: [],
  certificates: [],
  rate: {},
  behindTls: false,
  connections: {},
}

/** Reports whether no credentials are configured. An empty file of tokens counts as configured, and admits no client. */
export function isOpen({ tokens, oidc, certificates }: AccessSettings): boolean {
  return tokens === undefined && oidc.length === 0 && certificates.length === 0
}

/**
 * Checks that other machines can connect only when credentials are required and are encrypted on the network.
 * @throws HostedError `usage`
 */
export function checkListen(listen: Listen, settings: AccessSettings): void {
  if ('path' in listen || isLoopback(listen.host)) return
  const where = `${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${listen.port}`
  if (isOpen(settings)) {
    throw new HostedError(
      'usage',
      `--listen ${where}: no credentials are configured: expected a loopback address (127.0.0.1, [::1]) or a unix socket`,
    )
  }
  if (settings.tls !== undefined || settings.behindTls) return
  throw new HostedError(
    'usage',
    `--listen ${where}: credentials would cross the network in the clear: configure tls, or "behindTls": true behind a proxy that terminates TLS`,
  )
}

/**
 * Refuses changes that a running process cannot apply: requiring credentials or no longer requiring them, and turning TLS, client
 * certificates or the proxy on or off.
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
    `${field}: ${isThere ? 'absent' : 'present'} when the daemon started: this change needs a restart`,
  )
}
