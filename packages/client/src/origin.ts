/** The origin of a ledger for which none was asked. */
export function defaultOrigin(moduleId: string): string {
  return `service-fs.local/ledger/${moduleId}`
}
