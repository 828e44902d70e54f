/** The origin of a request, after its credentials were checked. */
import type { Role } from '@service-fs/wire/roles'

export interface Identity {
  /** The subject in the audit entry; `anonymous` when no credentials are configured. */
  readonly subject: string
  /** Undefined when no credentials are configured: then everything is allowed. */
  readonly roles: readonly Role[] | undefined
}
