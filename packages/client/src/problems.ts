import { quoted } from '@service-fs/format/visible'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'

/** Something that is not as it must be: where, what was expected, what was found. */
export interface Problem {
  /** A path below the ledger's directory or URL. */
  file: string
  /** Line in the file, from 1. */
  line?: number
  /** Index of the entry in the log. */
  index?: number
  expected: string
  found: string
}

export interface Place {
  file: string
  line?: number
  index?: number
}

/** Codes of errors that say something of what was read; with others, reading itself failed. */
const ABOUT_CONTENT: ReadonlySet<string> = new Set(['malformed', 'false', 'file', 'not-found', 'corrupt'])

/** The problems found, the first thousand in full and the rest as a number. */
export class Problems {
  readonly list: Problem[] = []
  #count = 0

  /** How many were found. */
  get count(): number {
    return this.#count
  }

  add(place: Place, expected: string, found: string): void {
    this.#count += 1
    if (this.list.length < 1_000) this.list.push({ ...place, expected, found })
  }

  /** What a parser threw: "expected …, found …" where it says so. @throws `error` when the reading itself failed */
  addError(place: Place, error: unknown, expected: string): void {
    if (error instanceof ClientError && !ABOUT_CONTENT.has(error.code)) throw error
    const text = messageOf(error)
    const match = /expected (.*), found (.*)$/.exec(text)
    this.add(place, match?.[1] ?? expected, match?.[2] ?? text)
  }
}

/** One line: `tile/0/000.b64 line 5 (entry 4): expected …, found …`. */
export function problemText(problem: Problem): string {
  const line = problem.line === undefined ? '' : ` line ${problem.line}`
  const index = problem.index === undefined ? '' : ` (entry ${problem.index})`
  return `${quoted(problem.file)}${line}${index}: expected ${problem.expected}, found ${problem.found}`
}
