/** The exit statuses of `service-fs`, which all commands share. `--help`, the man page and docs/errors.md are made from this table. */
import { FAILED, FALSE, USAGE } from './perform.ts'

interface ExitStatus {
  readonly status: number
  readonly title: string
  /** A short description for `--help`. */
  readonly summary: string
  /** The `code` of the error that `--json` prints. */
  readonly codes: readonly string[]
  /** The meaning of the status, in sentences of Markdown. */
  readonly meaning: string
  readonly action: string
}

export const EXIT_STATUSES: readonly ExitStatus[] = [
  {
    status: 0,
    title: 'Done',
    summary: 'success; every check passed',
    codes: [],
    meaning: 'The command did its work. Every check passed.',
    action: 'Nothing.',
  },
  {
    status: FALSE,
    title: 'False',
    summary: 'a proof, signature, hash or ledger does not verify',
    codes: ['false'],
    meaning: 'A proof, a signature, a hash or a ledger failed its check.',
    action: 'Do not trust the data. Standard error names the file and the entry.',
  },
  {
    status: USAGE,
    title: 'Usage',
    summary: 'wrong usage',
    codes: ['usage'],
    meaning: 'The command line is not valid.',
    action: 'See `--help` of the command.',
  },
  {
    status: FAILED,
    title: 'Failed',
    summary: 'failure',
    codes: ['connection', 'not-found', 'malformed', 'file', 'http', 'failed'],
    meaning:
      'The command could not do its work: no connection, no such record, a malformed answer or file, a file that cannot be read or written, an HTTP error, some records refused. With `--json` the `code` may also be that of a problem document, listed above, or of a system error, such as `ENOENT`.',
    action: 'Read the message on standard error. `append` can be run again: it appends no record twice.',
  },
]
