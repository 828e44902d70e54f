/**
 * The log: one line of JSON each on standard error, written by pino.
 *
 *     {"level":"error","time":"2026-01-02T03:04:05.678Z","name":"tenant","tenant":"acme","request_id":"…","error":{"name":"StorageError","code":"full"},"message":"…"}
 *
 * It says what happened to the service, never what a record or a request holds: fields are plain values that the caller names, and those
 * that could carry a secret are left out whoever names them.
 */
import { visibleLine } from '@service-fs/format/visible'
import { pino, type Logger as Pino } from 'pino'
import { messageOf } from '@service-fs/format/errors'

export interface LogOptions {
  /** Which process of the service this is. */
  name: 'supervisor' | 'front' | 'tenant'
  /** The tenant's moduleId, in every line. */
  tenant?: string
  /** The least that is written. Default: `info`; `warn` on a terminal, where the greeting has said it. */
  level?: 'info' | 'warn'
  /** Takes a line without its end; default: standard error. */
  write?: (line: string) => void
}

/** Plain values, in snake_case; undefined is left out. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>

export interface Logger {
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  /** An error that was caught: its name, code, message and cause; the stack too when it has no code, for then nobody expected it. */
  error(error: unknown, fields?: LogFields): void
}

/** Names of fields that are never written. */
const SECRET = ['authorization', 'cookie', 'token', 'key', 'password', 'payload', 'body', 'headers']

/** A log of this process. Nothing that is logged makes it throw. */
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
