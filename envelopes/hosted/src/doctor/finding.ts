/** What `service-fs doctor` finds. */

/** Whether a protection is in force: `partly` where it is for some files or processes, `unknown` where this system does not tell. */
export type InForce = 'yes' | 'no' | 'partly' | 'unknown'

export interface Finding {
  /** A stable name. */
  check: string
  in_force: InForce
  /** What was looked at and found, in a line. */
  found: string
  /** Set where it is not as the service leaves it or was told to have it: somebody has to see to it. */
  wrong?: true
}

export function finding(check: string, inForce: InForce, found: string, wrong = false): Finding {
  return { check, in_force: inForce, found, ...(wrong ? { wrong } : {}) }
}

/** A finding about something that is either so or not, and should be. */
export function demanded(check: string, holds: boolean, found: string): Finding {
  return finding(check, holds ? 'yes' : 'no', found, !holds)
}

/** As `in_force`: all, none, or some of so many. */
export function share(some: number, all: number): InForce {
  if (some === all && all > 0) return 'yes'
  return some === 0 ? 'no' : 'partly'
}

/** `0640` */
export function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0')
}

/** A few paths, for a line. */
export function listed(paths: readonly string[], count: number): string {
  const more = count > paths.length ? ` and ${count - paths.length} more` : ''
  return paths.join(', ') + more
}
