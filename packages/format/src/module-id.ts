/**
 * Module identifiers. A module identifier names a tenant: in the header `X-Foundry-Module-ID`, in the path prefix `/t/<moduleId>/`, in the
 * origin of its ledger, and as the name of its directory.
 */

/**
 * The grammar of a module identifier, for JSON Schema and OpenAPI: 1 to 63 lower-case letters, digits and hyphens, not starting
 * with a hyphen. So it is safe as a directory, as a label of a host name (RFC 1123 section 2.1), and in a URL.
 */
export const MODULE_ID_PATTERN = '^[a-z0-9][a-z0-9-]{0,62}$'

const MODULE_ID = new RegExp(MODULE_ID_PATTERN)

/** Reports whether `text` is a module identifier. */
export function isModuleId(text: string): boolean {
  return MODULE_ID.test(text)
}

/** Returns the origin of a tenant's ledger when the operator names none. */
export function defaultOrigin(moduleId: string): string {
  return `service-fs.local/ledger/${moduleId}`
}
