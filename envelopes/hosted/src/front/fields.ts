/** Selects the header fields that the front forwards. */
import type { IncomingMessage } from 'node:http'
import type { Identity } from '@service-fs/http/http'
import { identityHeaders, OWN_FIELDS } from './identity-headers.ts'

/** Hop-by-hop fields (RFC 9110 §7.6.1), and `Expect`, which the front answers itself. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'expect',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** The front checks the credentials. A tenant must not see them. */
const CREDENTIALS = 'authorization'

/**
 * Returns the header fields for a tenant's process: the identity, then the request's fields. Names and values
 * alternate. Drops hop-by-hop fields, credentials, fields with the front's own prefix, and, without a body,
 * Content-Length.
 */
export function requestFields(
  { rawHeaders, headers }: Pick<IncomingMessage, 'rawHeaders' | 'headers'>,
  identity: Identity,
  moduleId: string,
  hasBody: boolean,
): string[] {
  const named = namedBy(headers.connection)
  const passed = filtered(rawHeaders, (name) => {
    if (HOP_BY_HOP.has(name) || named.has(name) || name === CREDENTIALS) return false
    return !name.startsWith(OWN_FIELDS) && (hasBody || name !== 'content-length')
  })
  return [...identityHeaders(identity, moduleId), ...passed]
}

/** Returns the fields of a tenant's response that the client receives. */
export function answerFields(raw: readonly string[]): string[] {
  let connection: string | undefined
  for (let i = 0; i < raw.length; i += 2)
    if (raw[i]?.toLowerCase() === 'connection') connection = `${connection ?? ''},${raw[i + 1]}`
  const named = namedBy(connection)
  return filtered(raw, (name) => !HOP_BY_HOP.has(name) && !named.has(name) && !name.startsWith(OWN_FIELDS))
}

/** Returns the lower-case names of the fields that `Connection` lists. */
function namedBy(connection: string | undefined): ReadonlySet<string> {
  if (connection === undefined) return NONE
  return new Set(connection.split(',').map((name) => name.trim().toLowerCase()))
}

const NONE: ReadonlySet<string> = new Set()

function filtered(raw: readonly string[], passes: (name: string) => boolean): string[] {
  const fields: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string
    if (passes(name.toLowerCase())) fields.push(name, raw[i + 1] as string)
  }
  return fields
}
