/** The JSON messages about file attributes between a tenant and its supervisor, over their channel (`process.send`). */

/** A tenant's request. Paths are relative to the tenant's directory. */
export type FlagRequest =
  /** Asks whether the supervisor can set attributes in the directory. */
  | { kind: 'flags'; id: number; verb: 'hello' }
  | { kind: 'flags'; id: number; verb: 'sealed' | 'appendOnly'; path: string }
  | { kind: 'flags'; id: number; verb: 'release'; path: string; newer: string }

/** The supervisor's reply. `code` and `message` say why a request failed. */
export type FlagReply =
  | { kind: 'flags'; id: number; done: true }
  | { kind: 'flags'; id: number; done: false; code: string; message: string }

/** The maximum number of unanswered requests of one tenant. */
export const MOST_REQUESTS = 32

/** The maximum length of a path. No path of a ledger is longer: `audit/tile/entries/x009/…/x007/199.b64`. */
const LONGEST_PATH = 80

function isAboutFlags(message: unknown): message is { kind: 'flags' } {
  return typeof message === 'object' && message !== null && 'kind' in message && message.kind === 'flags'
}

/** Returns the request in a tenant's message; undefined when the message is not a request. */
export function parseFlagRequest(message: unknown): FlagRequest | undefined {
  if (!isAboutFlags(message)) return undefined
  const { id, verb, path, newer } = message as Readonly<Record<string, unknown>>
  if (typeof id !== 'number' || !Number.isSafeInteger(id)) return undefined
  if (verb === 'hello') return { kind: 'flags', id, verb }
  if (!isPath(path)) return undefined
  if (verb === 'sealed' || verb === 'appendOnly') return { kind: 'flags', id, verb, path }
  return verb === 'release' && isPath(newer) ? { kind: 'flags', id, verb, path, newer } : undefined
}

/** Returns the reply in the supervisor's message; undefined when the message is not a reply. */
export function parseFlagReply(message: unknown): FlagReply | undefined {
  if (!isAboutFlags(message)) return undefined
  const { id, done, code, message: why } = message as Readonly<Record<string, unknown>>
  if (typeof id !== 'number') return undefined
  if (done === true) return { kind: 'flags', id, done }
  const told = { code: String(code), message: String(why) }
  return { kind: 'flags', id, done: false, ...told }
}

function isPath(value: unknown): value is string {
  return typeof value === 'string' && value.length <= LONGEST_PATH
}
