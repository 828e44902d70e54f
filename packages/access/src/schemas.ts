/** What several settings have in common. */
import { isModuleId } from '@service-fs/format/module-id'
import { ROLES, type Role } from '@service-fs/wire/roles'
import * as v from 'valibot'

/** A tenant, or `*`. */
export const tenantSchema: v.GenericSchema<string> = v.pipe(
  v.string(),
  v.check((id) => id === '*' || isModuleId(id), 'expected a tenant, or * for all'),
)

export const rolesSchema: v.GenericSchema<readonly Role[]> = v.pipe(
  v.array(v.picklist(ROLES)),
  v.minLength(1, 'expected at least one role'),
)
