// The text of docs/errors.md, made from the problem codes of the wire and the exit statuses of the command line.
import { EXIT_STATUSES } from '@service-fs/cli/exit-statuses'
import { PROBLEM_DOCS } from '@service-fs/wire/problem-docs'
import { PROBLEMS, type ProblemCode } from '@service-fs/wire/problem'

const INTRODUCTION = `# Errors

\`npm run docs:errors\` writes this page from \`packages/wire/src/problem.ts\`, \`packages/wire/src/problem-docs.ts\` and
\`packages/cli/src/exit-statuses.ts\`. Edit those files, not this page.

## HTTP

Every error response is a problem document (RFC 9457, \`application/problem+json\`) with the members \`type\`
(\`urn:service-fs:problem:<code>\`), \`title\`, \`status\`, \`detail\` and \`code\`. Programs use \`code\`, which is stable; \`title\` and
\`detail\` are for people and may change. Some errors add \`field\`, \`line\` (of an NDJSON batch, from 1), \`record\` (of a
framed batch, from 1), \`expected\`, \`supplied\`, \`size\`, \`cursor\`, \`allow\`, \`retry_after\` (seconds) and \`error\`
(RFC 6750, for a bearer token).
`

const COMMAND_LINE = `
## Command line

All commands have the same exit statuses. With \`--json\` an error is one line of JSON on standard error,
\`{"error":{"code","message","status"?}}\`; \`status\` is the HTTP status, if there was a response.
`

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('')
}

const code = (name: string): string => `\`${name}\``

/** Returns the text of docs/errors.md. */
export function errorsPage(): string {
  const codes = (Object.keys(PROBLEMS) as ProblemCode[]).sort(
    (a, b) => PROBLEMS[a].status - PROBLEMS[b].status,
  )
  const problems = codes.map((name) => {
    const { status, title, retryAfter } = PROBLEMS[name]
    const { meaning, action } = PROBLEM_DOCS[name]
    return [
      code(name),
      String(status),
      title,
      meaning,
      action,
      retryAfter === undefined ? '' : String(retryAfter),
    ]
  })
  const statuses = EXIT_STATUSES.map(({ status, title, codes: names, meaning, action }) => [
    String(status),
    title,
    names.map(code).join(', '),
    meaning,
    action,
  ])
  return [
    INTRODUCTION,
    table(['code', 'status', 'title', 'meaning', 'what to do', '`Retry-After`'], problems),
    COMMAND_LINE,
    table(['exit status', 'title', '`code`', 'meaning', 'what to do'], statuses),
  ].join('\n')
}
