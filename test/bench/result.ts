// A finished run, as it is stored.

import type { Failure, Series } from './contest.ts'
import type { Machine, Quiet } from './machine.ts'
import type { Options } from './options.ts'
import type { Row } from './report.ts'

export interface Result {
  /** RFC 3339. */
  at: string
  /** The commit of the working tree; `+`: with changes. */
  commit: string
  machine: Machine
  before: Quiet
  after: Quiet
  /** Why the machine was not quiet; undefined: it was. */
  noise: string | undefined
  /** The completed rounds. */
  rounds: number
  options: Options
  rows: Row[]
  failures: Failure[]
  series: Series[]
}
