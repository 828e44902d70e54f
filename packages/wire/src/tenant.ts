/** Which tenant a request is for: `X-Foundry-Module-ID`, or the path prefix `/t/<moduleId>/`. */
import { badField, percentDecode } from './fields.ts'
import { Problem } from './problem.ts'
import type { WireRequest } from './request.ts'

export const MODULE_HEADER = 'x-foundry-module-id'
const PREFIX = '/t/'

/** Splits `/t/<moduleId>/rest` into the tenant and `/rest`; other paths have no tenant. */
export function splitTenant(path: string): { prefix: string | undefined; path: string } {
  if (!path.startsWith(PREFIX)) return { prefix: undefined, path }
  const end = path.indexOf('/', PREFIX.length)
  if (end < 0) return { prefix: percentDecode(path.slice(PREFIX.length), 'path'), path: '/' }
  return { prefix: percentDecode(path.slice(PREFIX.length, end), 'path'), path: path.slice(end) }
}

/** Lets a request through that names this tenant and no other. Throws a Problem: 400 none or two, 403 another. */
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

/** A name as a client gave it, short enough for a message. */
export function shorten(text: string): string {
  return text.length > 64 ? `${text.slice(0, 64)}…` : text
}

/** The request id that the client gave, or undefined. 400 when it can't go into an audit entry's id. */
export function clientRequestId(request: Pick<WireRequest, 'header'>): string | undefined {
  const id = request.header('x-foundry-request-id')
  if (id === undefined) return undefined
  if (!isRequestId(id)) {
    throw badField('X-Foundry-Request-ID', '1 to 128 visible ASCII characters', id)
  }
  return id
}

export function isRequestId(text: string): boolean {
  return /^[\x21-\x7e]{1,128}$/.test(text)
}
