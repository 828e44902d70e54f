/** Name of the tail file whose first entry is `start`: at least twelve digits. */
export function tailName(start: number): string {
  return String(start).padStart(12, '0')
}

/** The first entry that a tail file's name stands for; undefined for any other name. */
export function parseTailName(name: string): number | undefined {
  if (!/^\d{12,16}$/.test(name)) return undefined
  const start = Number(name)
  return Number.isSafeInteger(start) && tailName(start) === name ? start : undefined
}
