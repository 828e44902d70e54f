/** Extracts the bearer token of a request, RFC 6750 §2.1. */
import type { IncomingMessage } from 'node:http'
import { Problem } from '@service-fs/wire/problem'

/** The length of the longest accepted token. The tokens of all known issuers are shorter. */
const MAX_LENGTH = 8192

const BEARER = /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i

/**
 * Returns the token, or undefined if the request has no token or uses another scheme. Two Authorization fields are a problem with status
 * 400, and a malformed token is a problem with status 401.
 */
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
