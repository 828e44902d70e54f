/** Finds the tenant of a request by its head. */
import type { IncomingMessage } from 'node:http'
import { Problem } from '@service-fs/wire/problem'
import { splitTarget } from '@service-fs/wire/request'
import { MODULE_HEADER, splitTenant } from '@service-fs/wire/tenant'

/**
 * Returns the name in `X-Foundry-Module-ID` or in the path prefix `/t/<name>/`, unchecked; undefined if there is
 * none. Returns a Problem (400) if the two differ, or if the prefix is not percent-encoded UTF-8.
 */
export function tenantNamed({
  headers,
  url,
}: Pick<IncomingMessage, 'headers' | 'url'>): string | undefined | Problem {
  const header = headers[MODULE_HEADER]
  let prefix: string | undefined
  try {
    ;({ prefix } = splitTenant(splitTarget(url ?? '').path))
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
  const name = typeof header === 'string' ? header : undefined
  if (name !== undefined && prefix !== undefined && name !== prefix)
    return new Problem('module-id-ambiguous', 'X-Foundry-Module-ID and the path name different tenants', {
      field: 'X-Foundry-Module-ID',
      expected: prefix.slice(0, 64),
      supplied: name.slice(0, 64),
    })
  return name ?? prefix
}
