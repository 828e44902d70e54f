/** The JSON messages between the supervisor and the front over their channel. */

/** A message to the front. `S` is the type of the front's settings, `A` of those for access and TLS. */
export type ToFront<S = unknown, A = unknown> =
  /** The first message. */
  | { kind: 'settings'; settings: S }
  /** Credentials or certificates have changed. */
  | { kind: 'access'; access: A }
  /** The list of tenants has changed. It includes tenants that do not run. */
  | { kind: 'tenants'; tenants: string[] }
  /** Answers `reach`. */
  | { kind: 'reached'; id: number; socket: string; maxPayload?: number }
  | { kind: 'refused'; id: number; code: string; message: string }
  /** The tenant's process has ended: send `reach` again. */
  | { kind: 'gone'; moduleId: string }

export type FromFront =
  /** Asks for the tenant's socket. The supervisor starts the tenant if it does not run. */
  | { kind: 'reach'; id: number; moduleId: string }
  /** The tenant had no request for `idleMs`. The front no longer uses its socket. */
  | { kind: 'idle'; moduleId: string }

/** Parses a message of the front; returns undefined when it is invalid. */
export function fromFront(message: unknown): FromFront | undefined {
  if (typeof message !== 'object' || message === null || !('kind' in message) || !('moduleId' in message))
    return undefined
  const { kind, moduleId } = message
  if (typeof moduleId !== 'string') return undefined
  if (kind === 'idle') return { kind, moduleId }
  if (kind !== 'reach' || !('id' in message) || typeof message.id !== 'number') return undefined
  return { kind, id: message.id, moduleId }
}
