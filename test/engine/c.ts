// The ledger's domain as a program of this host: whether it can be built here, and building it.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { buildRoot, vendor } from '../../microkit/build.mjs'
import { wasm2cProblem } from '../../microkit/engine/generate.mjs'
import { run } from '../support/process.ts'
import { repoRoot } from '../support/root.ts'

const folder = join(repoRoot, 'microkit/ledger/test')
const has = (command: string): boolean => spawnSync(command, ['--version']).status === 0

/** Returns the reason why this compiler cannot build the domain, for the name of a suite; empty if it can. */
export function why(compiler: string): string {
  const missing = ['make', 'cargo', compiler].filter((command) => !has(command))
  if (!existsSync(join(repoRoot, 'envelopes/sel4/bundle/dist/bundle.js'))) missing.push('dist/bundle.js')
  missing.push(...wasm2cProblem())
  return missing.length === 0 ? '' : ` (skipped: no ${missing.join(', no ')})`
}

/** Runs make in the folder of the domain's tests; returns the folder with the results. */
export async function make(name: string, target: string, variables: readonly string[]): Promise<string> {
  vendor()
  const out = join(buildRoot, name)
  const args = ['-s', '-j2', '-C', folder, `OUT=${out}`, `CRATES=${join(buildRoot, 'crates')}`, ...variables]
  const { code, stderr } = await run('make', [...args, target], { timeoutMs: 900_000 })
  if (code !== 0) throw new Error(`make: ${stderr}`)
  return out
}

/** The time limit for building everything, including the engine. */
export const BUILD_MS = 900_000
