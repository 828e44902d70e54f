import { visibleLine } from '@service-fs/format/visible'

/** One line of JSON, for a log that a machine reads as well; safe for the terminal that it may go to. */
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
