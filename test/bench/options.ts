// The command line of the benchmark.

import { parseArgs } from 'node:util'
import { join } from 'node:path'
import { benchDir } from './servers.ts'

export const HELP = `npm run bench -- [options]

  --rounds N     alternating rounds of each load (3)
  --seconds S    measured seconds of each load (8)
  --only TEXT    only loads whose name contains TEXT; may be repeated
  --bulk N       records of the bulk import (1000000; BULK in the environment too)
  --quick        1 round of 2 seconds, a bulk import of 50,000
  --side SIDE    only service-fs or only tessera
  --dir DIR      where the ledgers are written (test/bench/out/data): a real disk, not tmpfs
  --json         print the result as JSON instead of a table
  --tune         search Tessera's settings for each load instead
`

export interface Options {
  rounds: number
  seconds: number
  only: string[]
  bulk: number
  side: string | undefined
  dir: string
  json: boolean
  tune: boolean
  help: boolean
}

/** Throws a TypeError on an unknown option, and a RangeError on an invalid number. */
export function parseOptions(argv: string[]): Options {
  const { values } = parseArgs({
    args: argv,
    options: {
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      only: { type: 'string', multiple: true },
      bulk: { type: 'string' },
      side: { type: 'string' },
      dir: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      tune: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const { quick, json, tune, help, side } = values
  if (side !== undefined && side !== 'service-fs' && side !== 'tessera') {
    throw new RangeError(`--side ${side}: want service-fs or tessera`)
  }
  return {
    rounds: positive('--rounds', values.rounds, quick ? 1 : 3),
    seconds: positive('--seconds', values.seconds, quick ? 2 : 8),
    only: values.only ?? [],
    bulk: positive('--bulk', values.bulk ?? process.env['BULK'], quick ? 50_000 : 1_000_000),
    side,
    dir: values.dir ?? join(benchDir, 'out/data'),
    json,
    tune,
    help,
  }
}

function positive(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback
  const n = Number(text)
  if (!Number.isFinite(n) || n <= 0) throw new RangeError(`${name} ${text}: want a number above 0`)
  return n
}
