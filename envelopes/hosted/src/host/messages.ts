/** What the supervisor and the front say to each other over their channel, as JSON. */

/** Settings `S` of the front, `A` of access and TLS. */
export type ToFront<S = unknown, A = unknown> =
  /** The first one. */
  | { kind: 'settings'; settings: S }
  /** Credentials or certificates have changed. */
  | { kind: 'access'; access: A }
  /** The tenants that there are, running or not. */
  | { kind: 'tenants'; tenants: string[] }
  /** Answers `reach`. */
  | { kind: 'reached'; id: number; socket: string; maxPayload?: number }
  | { kind: 'refused'; id: number; code: string; message: string }
  /** Its process is not there any more: reach it anew. */
  | { kind: 'gone'; moduleId: string }

export type FromFront =
  /** Where does it listen? It is started when it does not run. */
  | { kind: 'reach'; id: number; moduleId: string }
  /** Nobody has needed it for as long as the settings say. The front does not use its socket any more. */
  | { kind: 'idle'; moduleId: string }

/** What the front may say; undefined for anything else. */
export function fromFront(message: unknown): FromFront | undefined {
  if (typeof message !== 'object' || message === null || !('kind' in message) || !('moduleId' in message))
    return undefined
  const { kind, moduleId } = message
  if (typeof moduleId !== 'string') return undefined
  if (kind === 'idle') return { kind, moduleId }
  if (kind !== 'reach' || !('id' in message) || typeof message.id !== 'number') return undefined
  return { kind, id: message.id, moduleId }
}
