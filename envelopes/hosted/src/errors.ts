/**
 * What keeps the daemon from starting. Codes: `usage` (what was asked makes no sense), `key` (a private key is missing, exposed or
 * of another ledger), `listen` (the address can't be had), `access` (credentials, certificates or what grants them: missing, exposed,
 * malformed).
 */
export class HostedError extends Error {
  readonly code: string

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'HostedError'
    this.code = code
  }
}
