import { Problem } from '@service-fs/wire/problem'

/** 401 for a token that was given, RFC 6750 §3.1. */
export function invalidToken(detail: string): Problem {
  return new Problem('unauthenticated', detail, { error: 'invalid_token' })
}
