/** Parses times on the command line. */
import { ClientError } from '@service-fs/client/errors'

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
/** A hundred years. */
const LONGEST = 36_525 * 86_400_000

/** Returns the milliseconds of a span such as 90d, 12h, 30m or 10s. @throws ClientError `usage` */
export function parseSpan(text: string, name: string): number {
  const span = spanOf(text)
  if (span !== undefined) return span
  throw new ClientError('usage', `${name}: expected a span such as 90d, 12h, 30m or 10s, found ${text}`)
}

/** Parses an expiry into milliseconds since 1970: a span from `now`, or an ISO 8601 time with a zone. @throws ClientError `usage` */
export function parseExpiry(text: string, name: string, now: number): number | 'never' {
  if (text === 'never') return 'never'
  const span = spanOf(text)
  if (span !== undefined) return now + span
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)$/.test(text)
    ? Date.parse(text)
    : Number.NaN
  if (time > now) return time
  const wanted = 'a span such as 90d, a time to come such as 2027-01-31T00:00:00Z, or never'
  throw new ClientError('usage', `${name}: expected ${wanted}, found ${text}`)
}

function spanOf(text: string): number | undefined {
  const match = /^(0|[1-9]\d{0,8})([smhd])$/.exec(text)
  const ms = Number(match?.[1]) * (UNITS[match?.[2] ?? ''] ?? 0)
  return match !== null && ms <= LONGEST ? ms : undefined
}
