// The command line of the limits.

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { benchDir } from '../servers.ts'

export const HELP = `npm run bench:limits -- [NAME...] [options]

  NAME...      only these limits; default: all
  --rounds N   rounds of each limit (5)
  --json       print the result as JSON
  --list       print the names of the limits
`

export interface LimitOptions {
  names: readonly string[]
  rounds: number
  json: boolean
  list: boolean
  help: boolean
}

/** The modules of this folder that are not limits: the frame, and code that limits share. */
const FRAME = new Set(['bundles', 'limit', 'options', 'run'])

export const limitsDir: string = join(benchDir, 'limits')

/** Returns the names of the limits: the modules directly in this folder. */
export function limitNames(): string[] {
  return readdirSync(limitsDir)
    .flatMap((file) => /^([^.]+)\.ts$/.exec(file)?.[1] ?? [])
    .filter((name) => !FRAME.has(name))
    .toSorted()
}

/** Throws a TypeError on an unknown option, and a RangeError on an invalid value or a name that is not in `known`. */
export function parseLimitOptions(argv: readonly string[], known: readonly string[]): LimitOptions {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '5' },
      json: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const unknown = positionals.find((name) => !known.includes(name))
  if (unknown !== undefined) throw new RangeError(`${unknown}: expected one of ${known.join(', ')}`)
  const { rounds: text, json, list, help } = values
  const rounds = Number(text)
  if (!Number.isSafeInteger(rounds) || rounds <= 0)
    throw new RangeError(`--rounds ${text}: expected an integer above 0`)
  return { names: positionals.length === 0 ? known : positionals, rounds, json, list, help }
}
