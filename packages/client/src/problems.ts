import { quoted } from '@service-fs/format/visible'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'

/** A fault in a ledger: the place, the expected value and the found value. */
export interface Problem {
  /** A path below the ledger's directory or URL. */
  file: string
  /** The line in the file, counted from 1. */
  line?: number
  /** The index of the entry in the log. */
  index?: number
  expected: string
  found: string
}

/** The place of a fault: a file, and a line or an entry in it. */
export interface Place {
  file: string
  line?: number
  index?: number
}

/** The codes of errors about the content of a ledger. Any other error means that reading failed. */
const ABOUT_CONTENT: ReadonlySet<string> = new Set(['malformed', 'false', 'file', 'not-found', 'corrupt'])

/** Collects problems: keeps the first thousand and counts all of them. */
export class Problems {
  readonly list: Problem[] = []
  #count = 0

  /** The number of problems, including those that were not kept. */
  get count(): number {
    return this.#count
  }

  add(place: Place, expected: string, found: string): void {
    this.#count += 1
    if (this.list.length < 1_000) this.list.push({ ...place, expected, found })
  }

  /**
   * Adds an error as a problem. Splits its message at "expected …, found …" if the message has this form.
   * @throws `error` when reading failed
   */
  addError(place: Place, error: unknown, expected: string): void {
    if (error instanceof ClientError && !ABOUT_CONTENT.has(error.code)) throw error
    const text = messageOf(error)
    const match = /expected (.*), found (.*)$/.exec(text)
    this.add(place, match?.[1] ?? expected, match?.[2] ?? text)
  }
}

/** Formats a problem on one line: `tile/0/000.b64 line 5 (entry 4): expected …, found …`. */
export function problemText(problem: Problem): string {
  const line = problem.line === undefined ? '' : ` line ${problem.line}`
  const index = problem.index === undefined ? '' : ` (entry ${problem.index})`
  return `${quoted(problem.file)}${line}${index}: expected ${problem.expected}, found ${problem.found}`
}
