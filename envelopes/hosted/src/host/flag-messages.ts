/** What a tenant asks its supervisor about file attributes, over their channel (`process.send`), as JSON. */

/** Paths are relative to the tenant's directory. */
export type FlagRequest =
  /** Whether attributes can be set there at all. */
  | { kind: 'flags'; id: number; verb: 'hello' }
  | { kind: 'flags'; id: number; verb: 'sealed' | 'appendOnly'; path: string }
  | { kind: 'flags'; id: number; verb: 'release'; path: string; newer: string }

/** `code` and `message`: why not. */
export type FlagReply =
  | { kind: 'flags'; id: number; done: true }
  | { kind: 'flags'; id: number; done: false; code: string; message: string }

/** Requests of one tenant that may be unanswered. */
export const MOST_REQUESTS = 32

/** No path of a ledger is longer: `audit/tile/entries/x009/…/x007/199.b64`. */
const LONGEST_PATH = 80

function isAboutFlags(message: unknown): message is { kind: 'flags' } {
  return typeof message === 'object' && message !== null && 'kind' in message && message.kind === 'flags'
}

/** The request in what a tenant has sent; undefined when it is none. */
export function parseFlagRequest(message: unknown): FlagRequest | undefined {
  if (!isAboutFlags(message)) return undefined
  const { id, verb, path, newer } = message as Readonly<Record<string, unknown>>
  if (typeof id !== 'number' || !Number.isSafeInteger(id)) return undefined
  if (verb === 'hello') return { kind: 'flags', id, verb }
  if (!isPath(path)) return undefined
  if (verb === 'sealed' || verb === 'appendOnly') return { kind: 'flags', id, verb, path }
  return verb === 'release' && isPath(newer) ? { kind: 'flags', id, verb, path, newer } : undefined
}

/** The reply in what the supervisor has sent; undefined when it is none. */
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
