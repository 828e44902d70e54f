/** Where may be listened, given who may connect. */
import { isLoopback, type Listen } from '../config.ts'
import { HostedError } from '../errors.ts'
import { isOpen, type AccessSettings } from './settings.ts'

/**
 * Other machines may connect only where credentials are asked for, and where these do not cross the network in the clear.
 * @throws HostedError `usage`
 */
export function checkListen(listen: Listen, settings: AccessSettings): void {
  if ('path' in listen || isLoopback(listen.host)) return
  const where = `${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${listen.port}`
  if (isOpen(settings))
    throw new HostedError(
      'usage',
      `listen ${where}: no credentials are configured, so only a loopback address (127.0.0.1, [::1]) or a unix socket may be listened on`,
    )
  if (settings.tls === undefined && !settings.behindTls)
    throw new HostedError(
      'usage',
      `listen ${where}: credentials would cross the network in the clear: configure tls, or "behindTls": true where a proxy in front has it`,
    )
}
