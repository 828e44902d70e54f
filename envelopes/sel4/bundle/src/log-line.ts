/** Errors as lines of the log. */
import { visibleLine } from '@service-fs/format/visible'

/**
 * Returns one line of JSON for an error that became a 5xx response: `time`, `level`, `request_id`, `name`, `message`, and
 * `code` and `cause` where the error has them. A program can parse it, and a terminal can show it: control characters are
 * escaped. `now` is in milliseconds since 1970.
 */
export function logLine(now: number, error: unknown, requestId?: string): string {
  const { cause, ...said } = described(error)
  const inner = cause === undefined ? {} : { cause: described(cause).message }
  const line = { time: new Date(now).toISOString(), level: 'error', request_id: requestId, ...said, ...inner }
  return visibleLine(JSON.stringify(line))
}

function described(error: unknown): { name: string; message: string; code?: unknown; cause?: unknown } {
  if (!(error instanceof Error)) return { name: 'unknown', message: String(error) }
  const { name, message, cause } = error
  return { name, message, cause, ...('code' in error ? { code: error.code } : {}) }
}
