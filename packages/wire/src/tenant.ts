/** The tenant of a request: the header `X-Foundry-Module-ID`, or the path prefix `/t/<moduleId>/`. */
import { badField, percentDecode } from './fields.ts'
import { Problem } from './problem.ts'
import type { WireRequest } from './request.ts'

export const MODULE_HEADER = 'x-foundry-module-id'
const PREFIX = '/t/'

/** Splits `/t/<moduleId>/rest` into the tenant, percent-decoded, and `/rest`. Other paths have no tenant. */
export function splitTenant(path: string): { prefix: string | undefined; path: string } {
  if (!path.startsWith(PREFIX)) return { prefix: undefined, path }
  const end = path.indexOf('/', PREFIX.length)
  if (end < 0) return { prefix: percentDecode(path.slice(PREFIX.length), 'path'), path: '/' }
  return { prefix: percentDecode(path.slice(PREFIX.length, end), 'path'), path: path.slice(end) }
}

/**
 * Checks that a request names this tenant, by header or by path prefix.
 * @throws Problem `module-id-missing`, `module-id-ambiguous`, `module-id-mismatch`
 */
export function checkTenant(
  request: Pick<WireRequest, 'header'>,
  prefix: string | undefined,
  moduleId: string,
): void {
  const header = request.header(MODULE_HEADER)
  if (header !== undefined && prefix !== undefined && header !== prefix) {
    throw new Problem('module-id-ambiguous', 'X-Foundry-Module-ID and the path name different tenants', {
      field: 'X-Foundry-Module-ID',
      expected: shorten(prefix),
      supplied: shorten(header),
    })
  }
  const supplied = header ?? prefix
  if (supplied === moduleId) return
  if (supplied === undefined) {
    throw new Problem(
      'module-id-missing',
      'expected a tenant in X-Foundry-Module-ID or the path prefix /t/<moduleId>/, found none',
      { field: 'X-Foundry-Module-ID', expected: moduleId },
    )
  }
  throw new Problem('module-id-mismatch', `expected tenant ${moduleId}, found ${shorten(supplied)}`, {
    field: header === undefined ? 'path' : 'X-Foundry-Module-ID',
    expected: moduleId,
    supplied: shorten(supplied),
  })
}

/** Cuts a name from a client at 64 characters, for a message. */
export function shorten(text: string): string {
  return text.length > 64 ? `${text.slice(0, 64)}…` : text
}

/** Returns the client's X-Foundry-Request-ID, if any. @throws Problem `bad-request` if an audit entry's id cannot have it */
export function clientRequestId(request: Pick<WireRequest, 'header'>): string | undefined {
  const id = request.header('x-foundry-request-id')
  if (id === undefined) return undefined
  if (!isRequestId(id)) {
    throw badField('X-Foundry-Request-ID', '1 to 128 visible ASCII characters', id)
  }
  return id
}

/** Reports whether `text` is a request id: 1 to 128 visible ASCII characters. */
export function isRequestId(text: string): boolean {
  return /^[\x21-\x7e]{1,128}$/.test(text)
}
