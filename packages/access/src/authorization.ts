/** The bearer token of a request, RFC 6750 §2.1. */
import type { IncomingMessage } from 'node:http'
import { Problem } from '@service-fs/wire/problem'

/** What is longer is no token that any issuer gives out. */
const MAX_LENGTH = 8192

const BEARER = /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i

/** The token; undefined when there is none, another scheme's credentials included. 400 when there are two, 401 when it is malformed. */
export function authorizationOf(raw: IncomingMessage): string | Problem | undefined {
  const given = raw.headersDistinct['authorization']
  if (given === undefined) return undefined
  const [value = ''] = given
  if (given.length > 1)
    return new Problem('bad-request', 'Authorization: expected it once', { field: 'Authorization' })
  if (!/^Bearer(?: |$)/i.test(value)) return undefined
  const token = BEARER.exec(value)?.[1]
  if (token !== undefined && token.length <= MAX_LENGTH) return token
  return invalidToken('Authorization: expected `Bearer` and a token')
}

/** 401 for a token that was given, RFC 6750 §3.1. */
export function invalidToken(detail: string): Problem {
  return new Problem('unauthenticated', detail, { error: 'invalid_token' })
}
