// The command line of the benchmark.

import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { fixtureCache } from './fixtures.ts'
import { benchDir } from './servers.ts'

export const HELP = `npm run bench -- [options]

  --only NAME,...   only these loads; a name stands for all that begin with it and a dash, too
  --rounds N        alternating rounds (5)
  --seconds S       measured seconds of each load (6)
  --vs REV          compare with another revision of service-fs, built in a temporary
                    worktree, or with the checkout in the directory REV, which is built
  --side SIDE       only service-fs or only tessera; with --vs, the default is service-fs
  --side all        with --vs: Tessera as well
  --profile short   fewer loads, 1.25 s each, smaller ledgers, at most 12 minutes
  --profile full    all loads, ledgers of up to 10M records: about 70 minutes, 8 GiB (default)
  --minutes M       begin no run that would end later
  --bulk N          records of the bulk loads (1000000)
  --files N         files of the load \`files\` (100000)
  --sizes N,...     records of the ledgers whose cost is measured
                    (1000,100000,1000000,10000000)
  --clear           remove the ledgers and logs that runs keep in
                    ${fixtureCache}
  --dir DIR         where the ledgers are written (a new directory in ${tmpdir()}); a real disk, not tmpfs
  --json            print the result as JSON instead of tables
  --write-docs      replace the tables of docs/performance.md whose loads all ran without a failure
  --list            print the names of the loads
  --tune            search Tessera's settings for the append loads instead
`

export interface Options {
  rounds: number
  seconds: number
  /** Seconds of warm-up before the measurement. */
  warmup: number
  only: string[]
  vs: string | undefined
  sides: { serviceFs: boolean; tessera: boolean }
  short: boolean
  minutes: number | undefined
  bulk: number
  files: number
  /** Sizes of the ledgers whose cost is measured. */
  sizes: number[]
  /** Entries of the ledger that reads are from. */
  readFrom: number
  dir: string | undefined
  /** Whether to remove the cache of fixtures, and do nothing else. */
  clear: boolean
  json: boolean
  writeDocs: boolean
  list: boolean
  tune: boolean
  help: boolean
}

const FULL = {
  rounds: 5,
  seconds: 6,
  warmup: 2,
  bulk: 1_000_000,
  files: 100_000,
  readFrom: 200_000,
  sizes: [1000, 100_000, 1_000_000, 10_000_000],
}
const SHORT = {
  rounds: 5,
  seconds: 1.25,
  // After half a second, V8 still runs much of the server unoptimized: an append then costs 246 µs of CPU, later 168.
  warmup: 1.5,
  bulk: 50_000,
  files: 5000,
  readFrom: 100_000,
  sizes: [100_000],
}
const SHORT_MINUTES = 12

/** Throws a TypeError on an unknown option, and a RangeError on an invalid value. */
export function parseOptions(argv: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      only: { type: 'string', multiple: true },
      vs: { type: 'string' },
      side: { type: 'string' },
      profile: { type: 'string' },
      minutes: { type: 'string' },
      bulk: { type: 'string' },
      files: { type: 'string' },
      sizes: { type: 'string' },
      dir: { type: 'string' },
      ...flags('clear', 'json', 'write-docs', 'list', 'tune', 'help'),
    },
  })
  const { profile, vs } = values
  if (profile !== undefined && profile !== 'short' && profile !== 'full')
    throw new RangeError(`--profile ${profile}: expected short or full`)
  const short = profile === 'short'
  const preset = short ? SHORT : FULL
  if (values['write-docs'] === true && vs !== undefined)
    throw new TypeError('--write-docs: the docs have figures of one revision; expected no --vs')
  return {
    rounds: count('--rounds', values.rounds, preset.rounds),
    seconds: positive('--seconds', values.seconds, preset.seconds),
    warmup: preset.warmup,
    only: (values.only ?? []).flatMap((names) => names.split(',')).filter((name) => name !== ''),
    vs,
    sides: sidesOf(values.side, vs !== undefined),
    short,
    minutes:
      values.minutes === undefined && !short
        ? undefined
        : positive('--minutes', values.minutes, SHORT_MINUTES),
    bulk: count('--bulk', values.bulk, preset.bulk),
    files: count('--files', values.files, preset.files),
    sizes:
      values.sizes === undefined
        ? [...preset.sizes]
        : values.sizes.split(',').map((size) => count('--sizes', size, 0)),
    readFrom: preset.readFrom,
    dir: values.dir,
    clear: values.clear === true,
    json: values.json === true,
    writeDocs: values['write-docs'] === true,
    list: values.list === true,
    tune: values.tune === true,
    help: values.help === true,
  }
}

function flags<T extends string>(...names: T[]): Record<T, { type: 'boolean' }> {
  return Object.fromEntries(names.map((name) => [name, { type: 'boolean' }])) as Record<
    T,
    { type: 'boolean' }
  >
}

function sidesOf(side: string | undefined, versus: boolean): Options['sides'] {
  switch (side ?? (versus ? 'service-fs' : 'all')) {
    case 'all':
      return { serviceFs: true, tessera: true }
    case 'service-fs':
      return { serviceFs: true, tessera: false }
    case 'tessera':
      return { serviceFs: false, tessera: true }
    default:
      throw new RangeError(`--side ${side}: expected service-fs, tessera or all`)
  }
}

function positive(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback
  const n = Number(text)
  if (text.trim() === '' || !Number.isFinite(n) || n <= 0)
    throw new RangeError(`${name} ${text}: expected a number above 0`)
  return n
}

function count(name: string, text: string | undefined, fallback: number): number {
  const n = positive(name, text, fallback)
  if (!Number.isSafeInteger(n)) throw new RangeError(`${name} ${text}: expected an integer above 0`)
  return n
}

/**
 * Reports whether the load is selected: `only` is empty, or has the load's name or the part of it before a dash.
 */
export function isWanted(load: string, only: readonly string[]): boolean {
  return only.length === 0 || only.some((name) => load === name || load.startsWith(`${name}-`))
}

/** Throws a RangeError for a name in `only` that selects none of the loads. */
export function checkNames(only: readonly string[], loads: readonly string[]): void {
  for (const name of only) {
    if (!loads.some((load) => isWanted(load, [name])))
      throw new RangeError(`--only ${name}: expected one of ${loads.join(', ')}`)
  }
}

/** The directory of results. */
export const outDir: string = join(benchDir, 'out')
