/**
 * Clock corrections: entries by which an operator corrects the time of a ledger. Only their time may precede that of the
 * previous entry.
 */
import type { Codec } from '@service-fs/tlog/codec'
import type { Entry } from './entry.ts'

/** The type of a correction entry. Clients cannot append records of this type. */
export const CLOCK_TYPE = 'application/vnd.service-fs.clock+json'

/** The payload of a correction entry. Times are RFC 3339 in UTC with milliseconds. */
export interface ClockCorrection {
  /** The time of the newest entry before the correction. */
  newest: string
  /** The corrected time, which is also the time of this entry. */
  now: string
  /** The operator's reason. */
  reason: string
  /** The subject that corrected the time, and its request. */
  subject: string
  request_id: string
}

/** Returns the payload of a correction entry: RFC 8785 JSON in UTF-8. */
export function correctionPayload(correction: ClockCorrection, codec: Codec): Uint8Array {
  const { newest, now, reason, request_id, subject } = correction
  return codec.utf8Encode(JSON.stringify({ newest, now, reason, request_id, subject }))
}

/**
 * Reports whether an entry corrects the time of a ledger whose previous entry has the time `newest`. The time in the payload
 * may be
 * later than `newest`, if an append failed in between.
 */
export function correctsTime(entry: Entry, newest: string, codec: Codec): boolean {
  if (entry.header.type !== CLOCK_TYPE || entry.continuation !== undefined || entry.split !== undefined)
    return false
  try {
    const found = JSON.parse(codec.utf8Decode(entry.payload)) as Partial<ClockCorrection> | null
    return typeof found?.newest === 'string' && found.newest >= newest && found.now === entry.header.time
  } catch {
    return false
  }
}
