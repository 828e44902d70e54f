/** The `Host` header of a request (RFC 9110 §7.2). */

const HOST = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]*)(?::\d*)?$/

/** Reports whether `text` is a valid `Host`: a name or an address, with or without a port. */
export function isHost(text: string): boolean {
  return HOST.test(text)
}

/** Returns the authority of a request target in absolute form (RFC 9112 §3.2.2); undefined for other forms. */
export function authorityOf(target: string): string | undefined {
  return /^[A-Za-z][A-Za-z0-9+.-]*:\/\/([^/?#]*)/.exec(target)?.[1]
}

/** Returns the name or address in `host`, without the port and without the brackets of an IPv6 address. */
export function hostName(host: string): string {
  return host.replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1')
}

const LOOPBACK_V4 = /^127(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/

/**
 * Reports whether `name` is `localhost`, a name below it, or a loopback address. A server that answers to other names is open to
 * DNS rebinding: a web page points its own name at the server, and reads the responses.
 */
export function isLocalName(name: string): boolean {
  const lower = name.toLowerCase()
  return lower === 'localhost' || lower.endsWith('.localhost') || lower === '::1' || LOOPBACK_V4.test(lower)
}
