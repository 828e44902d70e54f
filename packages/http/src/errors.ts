/**
 * What keeps the daemon from starting. Codes: `usage` (what was asked makes no sense), `key` (a private key is missing, exposed or
 * of another ledger), `listen` (the address can't be had), `access` (credentials, certificates or what grants them: missing, exposed,
 * malformed), `immutable` (file attributes are required and can't be set). Of `service-fs host`: `config` (host.json, or what is there
 * of a host or a tenant), `start` (a process does not start), `no-tenant`, `tenant-unavailable`.
 */
export class HostedError extends Error {
  readonly code: string

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'HostedError'
    this.code = code
  }
}

/** Whether a system call failed with this errno. */
export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
