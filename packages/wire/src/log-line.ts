/** One line of JSON, for a log that a machine reads as well. */
export function logLine(now: number, error: unknown, requestId?: string): string {
  const { cause, ...said } = described(error)
  const inner = cause === undefined ? {} : { cause: described(cause).message }
  return JSON.stringify({
    time: new Date(now).toISOString(),
    level: 'error',
    request_id: requestId,
    ...said,
    ...inner,
  })
}

function described(error: unknown): { name: string; message: string; code?: unknown; cause?: unknown } {
  if (!(error instanceof Error)) return { name: 'unknown', message: String(error) }
  const { name, message, cause } = error
  return { name, message, cause, ...('code' in error ? { code: error.code } : {}) }
}
