/**
 * An error that keeps the daemon from starting. Codes: `usage` (contradictory or malformed flags), `key` (a private key is missing,
 * readable by others or belongs to another ledger), `listen` (cannot listen on the address), `access` (a file with credentials,
 * certificates or grants is missing, readable by others or malformed), `authors` (the trust anchors of authors are missing or malformed), `immutable` (file attributes are required and cannot be
 * set). Codes of `service-fs host`: `config` (host.json or a directory of the host or a tenant is wrong), `start` (a process fails
 * to start), `no-tenant`, `tenant-unavailable`.
 */
export class HostedError extends Error {
  readonly code: string

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'HostedError'
    this.code = code
  }
}
