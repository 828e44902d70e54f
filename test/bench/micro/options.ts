// The command line of the micro-benchmarks.

import { parseArgs } from 'node:util'

export const TOPICS: readonly string[] = 'hash kernel tile entry json base64 time checkpoint index'.split(' ')

export const HELP = `npm run bench:micro -- [options]

  --only TOPIC,...  only these topics: ${TOPICS.join(', ')}
  --rounds N        alternating rounds (5)
  --ms N            measured milliseconds of each kernel (250)
  --vs REV          compare with another revision, which is built in a temporary worktree,
                    or with the checkout in the directory REV, which is built
  --json            print the result as JSON
`

export interface MicroOptions {
  topics: readonly string[]
  rounds: number
  ms: number
  vs: string | undefined
  json: boolean
  help: boolean
}

/** Throws a TypeError on an unknown option, and a RangeError on an invalid value. */
export function parseMicroOptions(argv: readonly string[]): MicroOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      only: { type: 'string', multiple: true },
      rounds: { type: 'string', default: '5' },
      ms: { type: 'string', default: '250' },
      vs: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const { only = [], vs, json, help } = values
  const named = only.flatMap((names) => names.split(',')).filter((name) => name !== '')
  const unknown = named.find((name) => !TOPICS.includes(name))
  if (unknown !== undefined) throw new RangeError(`--only ${unknown}: expected one of ${TOPICS.join(', ')}`)
  const topics = named.length === 0 ? TOPICS : named
  return { topics, rounds: count('--rounds', values.rounds), ms: count('--ms', values.ms), vs, json, help }
}

function count(name: string, text: string): number {
  const n = Number(text)
  if (!Number.isSafeInteger(n) || n <= 0) throw new RangeError(`${name} ${text}: expected an integer above 0`)
  return n
}
