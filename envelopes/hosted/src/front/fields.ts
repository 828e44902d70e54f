/** Header fields that pass the front. */
import type { IncomingMessage } from 'node:http'
import type { Identity } from '@service-fs/http/http'
import { identityHeaders, OWN_FIELDS } from './identity-headers.ts'

/** Fields that are about one connection, RFC 9110 §7.6.1, and `Expect`, which the front answers itself. */
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

/** The front has checked credentials: they are not a tenant's to see. */
const CREDENTIALS = 'authorization'

/**
 * What a tenant's process gets of a request's fields, names and values by turns: without those of the connection, without credentials,
 * without the front's own that a client made up; and who asks. Without a body Content-Length is dropped as well.
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

/** What a client gets of the fields of a tenant's answer. */
export function answerFields(raw: readonly string[]): string[] {
  let connection: string | undefined
  for (let i = 0; i < raw.length; i += 2)
    if (raw[i]?.toLowerCase() === 'connection') connection = `${connection ?? ''},${raw[i + 1]}`
  const named = namedBy(connection)
  return filtered(raw, (name) => !HOP_BY_HOP.has(name) && !named.has(name) && !name.startsWith(OWN_FIELDS))
}

/** The fields that `Connection` names. */
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
