/** The findings of `service-fs doctor`. */

/** Whether a protection is in force: `partly` if it is for some files only, `unknown` if this system cannot show it. */
export type InForce = 'yes' | 'no' | 'partly' | 'unknown'

export interface Finding {
  /** A stable name. */
  check: string
  in_force: InForce
  /** One line that states what was examined and found. */
  found: string
  /** Set if the state is not the one that the service makes or that the settings require. An operator must fix it. */
  wrong?: true
}

export function finding(check: string, inForce: InForce, found: string, wrong = false): Finding {
  return { check, in_force: inForce, found, ...(wrong ? { wrong } : {}) }
}

/** Returns a finding about a protection that must be in force. */
export function demanded(check: string, holds: boolean, found: string): Finding {
  return finding(check, holds ? 'yes' : 'no', found, !holds)
}

/** Returns whether a protection is in force for all, some or none of the files. */
export function share(some: number, all: number): InForce {
  if (some === all && all > 0) return 'yes'
  return some === 0 ? 'no' : 'partly'
}

/** Returns the mode in octal, such as `0640`. */
export function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0')
}

/** Returns paths as text, with the number of paths left out. */
export function listed(paths: readonly string[], count: number): string {
  const more = count > paths.length ? ` and ${count - paths.length} more` : ''
  return paths.join(', ') + more
}
