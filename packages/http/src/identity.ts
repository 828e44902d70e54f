/** Who a request comes from, once its credentials are checked. */
import type { Role } from '@service-fs/wire/roles'

export interface Identity {
  /** Goes into the audit entry: `anonymous` where no credentials are configured. */
  readonly subject: string
  /** Undefined where no credentials are configured: everything is allowed. */
  readonly roles: readonly Role[] | undefined
}
