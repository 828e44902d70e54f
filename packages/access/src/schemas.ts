/**
 * Checks JSON settings strictly, with errors that name the file and the field. Also has the schemas that several kinds of settings share.
 */
import { isModuleId } from '@service-fs/format/module-id'
import { HostedError } from '@service-fs/http/errors'
import { ROLES, type Role } from '@service-fs/wire/roles'
import * as v from 'valibot'

/** A tenant's moduleId, or `*` for all tenants. */
export const tenantSchema: v.GenericSchema<string> = v.pipe(
  v.string(),
  v.check((id) => id === '*' || isModuleId(id), 'expected a tenant, or * for all'),
)

export const rolesSchema: v.GenericSchema<readonly Role[]> = v.pipe(
  v.array(v.picklist(ROLES)),
  v.minLength(1, 'expected at least one role'),
)

/** Parses a JSON text and checks it. @throws HostedError `access` with the file, the field, and the expected and found values */
export function parseStrictly<T>(schema: v.GenericSchema<unknown, T>, text: string, file: string): T {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new HostedError('access', `${file}: expected JSON`)
  }
  return checkStrictly(schema, value, file)
}

/** Checks a value against a schema. @throws HostedError `access` */
export function checkStrictly<T>(schema: v.GenericSchema<unknown, T>, value: unknown, file: string): T {
  const result = v.safeParse(schema, value, { abortEarly: true })
  if (result.success) return result.output
  const [issue] = result.issues
  const field = v.getDotPath(issue) ?? 'top level'
  throw new HostedError('access', `${file}: ${field}: ${reason(issue)}`)
}

function reason(issue: v.BaseIssue<unknown>): string {
  const found = cut(issue.received)
  if (issue.type === 'strict_object' && issue.expected === 'never') return 'no such field'
  if (issue.kind === 'validation') return `${issue.message}, found ${found}`
  return `expected ${issue.expected ?? 'something else'}, found ${found}`
}

function cut(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}
