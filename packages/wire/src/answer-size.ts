/** How large an answer may get, told by its route: a server that holds answers in memory makes room first. */
import type { Limits } from './call.ts'
import type { Route } from './routes.ts'

/** Bytes of base64 with the JSON around it, of so many bytes. */
const inJson = (bytes: number): number => Math.ceil(bytes / 3) * 4 + 4096

/** Bytes; undefined for an answer that is always small. */
export function answerSize({ pattern }: Route, limits: Limits): number | undefined {
  const path = pattern.startsWith('/audit/') ? pattern.slice('/audit'.length) : pattern
  // A page ends with the record that reaches its limit.
  if (path === '/v1/entries' || path === '/mcp') return limits.maxEntriesBytes + inJson(limits.maxPayload)
  if (path === '/v1/entries/{cursor}' || path === '/v1/records/{payload_id}') return inJson(limits.maxPayload)
  // 256 entries of at most 64 KiB (c2sp.org/tlog-tiles).
  if (path === '/tile/{path...}') return inJson(256 * 64 * 1024)
  return undefined
}
