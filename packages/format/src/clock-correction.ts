/** The entry with which an operator corrects the time of a ledger: the only one whose time may be before that of the entry before it. */
import type { Codec } from '@service-fs/tlog/codec'
import type { Entry } from './entry.ts'

/** The type of such an entry. Records that clients append may not have it. */
export const CLOCK_TYPE = 'application/vnd.service-fs.clock+json'

/** The payload of such an entry. Times are RFC 3339 in UTC with milliseconds. */
export interface ClockCorrection {
  /** The newest entry's time before. */
  newest: string
  /** What the clock says now: the entry's own time. */
  now: string
  /** Why, in the operator's words. */
  reason: string
  /** Who corrected it, and with which request. */
  subject: string
  request_id: string
}

/** The payload of the entry: JSON in its RFC 8785 text. */
export function correctionPayload(correction: ClockCorrection, codec: Codec): Uint8Array {
  const { newest, now, reason, request_id, subject } = correction
  return codec.utf8Encode(JSON.stringify({ newest, now, reason, request_id, subject }))
}

/**
 * Whether an entry corrects the time of a ledger whose newest entry before it has the time `newest`. What it corrected may be later: the
 * time of an append that failed.
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
