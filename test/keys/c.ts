// The C of microkit/keys on this host: whether it can be built here, and building it.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildRoot, vendor } from '../../microkit/build.mjs'
import { run } from '../support/process.ts'
import { repoRoot } from '../support/root.ts'

const folder = join(repoRoot, 'microkit/keys/test')
const has = (command: string): boolean => spawnSync(command, ['--version']).status === 0

/** The available compilers. */
export const compilers: readonly string[] = ['clang', 'gcc'].filter((name) => has(name))

const missing = [
  ...['make', 'cargo'].filter((name) => !has(name)),
  ...(compilers.length === 0 ? ['clang or gcc'] : []),
]
/** The reason why this host cannot build the C of microkit/keys, for the name of a suite; empty if it can. */
export const why: string = missing.length === 0 ? '' : ` (skipped: no ${missing.join(', no ')})`

/** Builds `keys-tests` and `keys-host` with that compiler, under AddressSanitizer and UBSan, and returns their folder. */
export async function make(compiler: string): Promise<string> {
  vendor()
  const out = join(buildRoot, `keys-test-${compiler}`)
  const variables = [`OUT=${out}`, `COMPILER=${compiler}`, `CRATES=${join(buildRoot, 'crates')}`]
  const { code, stdout, stderr } = await run('make', ['-s', '-C', folder, ...variables], {
    timeoutMs: 300_000,
  })
  if (code !== 0 || stdout !== '') throw new Error(`make: ${stdout}${stderr}`)
  return out
}

/** The tests of microkit/keys/test, by the names of their sources. */
export function tests(): Map<string, string[]> {
  const sources = readdirSync(folder).filter((name) => name.endsWith('.c'))
  const found = sources.map((source): [string, string[]] => [
    source.slice(0, -'.c'.length),
    [...readFileSync(join(folder, source), 'utf8').matchAll(/^TEST\((\w+)\)/gm)].map(
      ([, name]) => name ?? '',
    ),
  ])
  return new Map(found.filter(([, names]) => names.length > 0))
}
