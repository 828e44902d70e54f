/**
 * The log: lines of JSON on standard error, written by pino.
 *
 *     {"level":"error","time":"2026-01-02T03:04:05.678Z","name":"tenant","tenant":"acme","request_id":"…","error":{"name":"StorageError","code":"full"},"message":"…"}
 *
 * It reports events of the service, never the content of a record or a request. Fields are plain values that the caller names;
 * fields with names that could hold a secret are removed.
 */
import { visibleLine } from '@service-fs/format/visible'
import { pino, type Logger as Pino } from 'pino'
import { messageOf } from '@service-fs/format/errors'

export interface LogOptions {
  /** The kind of this process. */
  name: 'supervisor' | 'front' | 'tenant'
  /** The tenant's moduleId, in every line. */
  tenant?: string
  /** The lowest level that is written. Default: `info`. Use `warn` on a terminal, where the greeting has the other information. */
  level?: 'info' | 'warn'
  /** Receives a line without its line feed. Default: writes to standard error. */
  write?: (line: string) => void
}

/** Plain values, named in snake_case; undefined values are left out. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>

export interface Logger {
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  /** Logs an error: its name, code, message and cause, and the stack of an unexpected error, which has no code. */
  error(error: unknown, fields?: LogFields): void
}

/** Names of fields that are never written. */
const SECRET = ['authorization', 'cookie', 'token', 'key', 'password', 'payload', 'body', 'headers']

/** Creates the log of this process. Logging never throws. */
export function createLog(options: LogOptions): Logger {
  const { name, tenant, level = process.stderr.isTTY ? 'warn' : 'info', write = toStderr } = options

  const log: Pino = pino(
    {
      level,
      base: { name, tenant },
      messageKey: 'message',
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (word) => ({ level: word }) },
      redact: { paths: SECRET, remove: true },
    },
    { write: (line: string) => write(visibleLine(line.replace(/\n$/, ''))) },
  )
  return {
    info: (message, fields = {}) => log.info(fields, message),
    warn: (message, fields = {}) => log.warn(fields, message),
    error: (error, fields = {}) => log.error({ ...fields, error: described(error) }, messageOf(error)),
  }
}

function toStderr(line: string): void {
  process.stderr.write(`${line}\n`)
}

interface Described {
  name: string
  code?: string
  cause?: string
  stack?: string
}

function described(error: unknown): Described {
  if (!(error instanceof Error)) return { name: typeof error }
  const { name, cause, stack } = error
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return {
    name,
    ...(code === undefined ? {} : { code }),
    ...(cause === undefined ? {} : { cause: messageOf(cause) }),
    ...(code !== undefined || stack === undefined ? {} : { stack }),
  }
}
