/** Where no credentials are configured. */
import type { AccessSettings } from './settings.ts'

/** Whoever can connect may do everything. */
export const OPEN: AccessSettings = {
  oidc: [],
  certificates: [],
  rate: {},
  behindTls: false,
  connections: {},
}

/** Whether no credentials are configured. A file of tokens that has none is not that: then nobody may do anything. */
export function isOpen({ tokens, oidc, certificates }: AccessSettings): boolean {
  return tokens === undefined && oidc.length === 0 && certificates.length === 0
}
