/** The `Host` of a request, RFC 9110 §7.2. */

const HOST = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]*)(?::\d*)?$/

/** Whether a text is a `Host`: a name or an address, perhaps with a port, and nothing else. */
export function isHost(text: string): boolean {
  return HOST.test(text)
}

/** The authority of a request target in absolute form, RFC 9112 §3.2.2; undefined for other forms. */
export function authorityOf(target: string): string | undefined {
  return /^[A-Za-z][A-Za-z0-9+.-]*:\/\/([^/?#]*)/.exec(target)?.[1]
}

/** The host name of `Host`, without its port and the brackets of an IPv6 address. */
export function hostName(host: string): string {
  return host.replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1')
}

const LOOPBACK_V4 = /^127(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/

/**
 * Whether a name is one of this machine for itself: `localhost`, names below it, a loopback address. Who answers to others as well
 * can be read by a page that makes its own name point here (DNS rebinding).
 */
export function isLocalName(name: string): boolean {
  const lower = name.toLowerCase()
  return lower === 'localhost' || lower.endsWith('.localhost') || lower === '::1' || LOOPBACK_V4.test(lower)
}
