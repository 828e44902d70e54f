/** Extracts the bearer token of a request, RFC 6750 §2.1. */
import type { IncomingMessage } from 'node:http'
import { Problem } from '@service-fs/wire/problem'

/** The longest accepted token, longer than those of any issuer. */
const MAX_LENGTH = 8192

const BEARER = /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i

/** Returns the token; undefined without one, or with another scheme; 400 for two Authorization fields, 401 for a malformed token. */
export function authorizationOf(raw: Pick<IncomingMessage, 'headersDistinct'>): string | Problem | undefined {
  const given = raw.headersDistinct['authorization']
  if (given === undefined) return undefined
  const [value = ''] = given
  if (given.length > 1)
    return new Problem('bad-request', 'Authorization: expected once, found several', {
      field: 'Authorization',
    })
  if (!/^Bearer(?: |$)/i.test(value)) return undefined
  const token = BEARER.exec(value)?.[1]
  if (token !== undefined && token.length <= MAX_LENGTH) return token
  return invalidToken('Authorization: expected `Bearer` and a token')
}

/** Returns the 401 for an invalid token, RFC 6750 §3.1. */
export function invalidToken(detail: string): Problem {
  return new Problem('unauthenticated', detail, { error: 'invalid_token' })
}
