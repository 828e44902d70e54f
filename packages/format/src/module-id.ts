const MODULE_ID = /^[a-z0-9][a-z0-9-]{0,62}$/

/** Whether `text` is a tenant's identifier: `[a-z0-9][a-z0-9-]{0,62}` (safe as a directory, host or user name). */
export function isModuleId(text: string): boolean {
  return MODULE_ID.test(text)
}
