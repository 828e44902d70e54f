/** Runs the work of a command and sets the exit status. This module loads only modules that all commands need. */
import { codeOf, messageOf } from '@service-fs/format/errors'
import { ClientError } from '@service-fs/client/errors'
import type { Io } from './io.ts'

/** Exit statuses. */
export const FALSE = 1
export const USAGE = 2
export const FAILED = 3

/**
 * Runs a command's work. The exit status is 0, or the status that `work` returns. An exception is printed on one line, as JSON if `json` is
 * set, and its code determines the status.
 */
export async function perform(
  io: Io,
  json: boolean | undefined,
  work: () => Promise<number | void>,
): Promise<void> {
  try {
    io.status((await work()) ?? 0)
  } catch (error) {
    io.err(json === true ? JSON.stringify({ error: errorMembers(error) }) : `service-fs: ${messageOf(error)}`)
    io.status(statusOf(error))
  }
}

function statusOf(error: unknown): number {
  const code = error instanceof ClientError ? error.code : undefined
  if (code === 'false') return FALSE
  return code === 'usage' ? USAGE : FAILED
}

function errorMembers(error: unknown): Record<string, unknown> {
  const status = error instanceof ClientError ? error.status : undefined
  return {
    code: codeOf(error) ?? 'failed',
    message: messageOf(error),
    ...(status === undefined ? {} : { status }),
  }
}
