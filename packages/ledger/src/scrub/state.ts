/** The position of the background check, as text. The text may be lost or damaged at any time; then the check starts again. */
import type { Finding } from './sealed-check.ts'

/** A damaged file that was found and has not been seen undamaged since. */
export interface KnownFinding extends Finding {
  /** Whether an entry of the ledger states the damage. */
  recorded: boolean
}

export interface ScrubState {
  /** The start of the current pass, in milliseconds since the Unix epoch. */
  started: number
  /** The next bundle to check. */
  next: number
  /** The end of the newest complete pass; undefined before a pass was completed. */
  passed: number | undefined
  /** Damaged files by path. */
  findings: Map<string, KnownFinding>
}

/** Returns the state at the beginning of the first pass. */
export function newState(now: number): ScrubState {
  return { started: now, next: 0, passed: undefined, findings: new Map() }
}

export function formatState({ started, next, passed, findings }: ScrubState): string {
  return `${JSON.stringify({ version: 1, started, next, passed, findings: [...findings.values()] })}\n`
}

/** Parses a state. Returns undefined for any other text. */
export function parseState(text: string): ScrubState | undefined {
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof found !== 'object' || found === null) return undefined
  const { version, started, next, passed, findings } = found as Record<string, unknown>
  if (version !== 1 || !isCount(started) || !isCount(next) || !Array.isArray(findings)) return undefined
  if (passed !== undefined && !isCount(passed)) return undefined
  if (!findings.every(isFinding)) return undefined
  return { started, next, passed, findings: new Map(findings.map((one) => [one.path, one])) }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isFinding(value: unknown): value is KnownFinding {
  if (typeof value !== 'object' || value === null) return false
  const { path, expected, found, recorded } = value as Record<string, unknown>
  return [path, expected, found].every((text) => typeof text === 'string') && typeof recorded === 'boolean'
}
