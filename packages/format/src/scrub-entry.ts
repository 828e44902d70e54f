/** Entries by which a ledger records the findings of its background check. */
import type { Codec } from '@service-fs/tlog/codec'

/** The type of these entries. Clients cannot append records of this type. */
export const SCRUB_TYPE = 'application/vnd.service-fs.scrub+json'

/** The payload of such an entry. Paths are relative to the ledger directory. */
export type ScrubEvent =
  /** A sealed file does not have the bytes that the signed tree proves. */
  | { event: 'damaged'; path: string; expected: string; found: string }
  /** A file that was damaged has the right bytes again. */
  | { event: 'repaired'; path: string }
  /** The check has read all sealed bundles once; `started` is an RFC 3339 time. */
  | { event: 'passed'; bundles: number; damaged: number; started: string }

/** Returns the payload of an entry: RFC 8785 JSON in UTF-8. */
export function scrubPayload(event: ScrubEvent, codec: Codec): Uint8Array {
  const members = Object.entries(event).sort(([a], [b]) => (a < b ? -1 : 1))
  return codec.utf8Encode(JSON.stringify(Object.fromEntries(members)))
}
