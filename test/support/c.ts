// Finds C compilers for the spanning tests, or the reason why there is none.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { repoRoot } from './root.ts'

/** The folder of the store's C sources. */
export const psdbFolder: string = join(repoRoot, 'microkit/psdb')

const lacks = (command: string): boolean => spawnSync(command, ['--version']).error !== undefined

/** Why one of the compilers cannot build a C program that uses SHA-256 with these flags; empty if all can. */
export function whyNoC(compilers: readonly string[], flags: readonly string[] = []): string {
  if (lacks('make')) return ' (skipped: no make)'
  const compiler = compilers.find((command) => !lacks(command))
  if (compiler === undefined) return ` (skipped: no ${compilers.join(' or ')})`
  const dir = mkdtempSync(join(tmpdir(), 'psdb-cc-'))
  const args = ['-x', 'c', ...flags, '-o', join(dir, 'program'), '-', '-lcrypto']
  const input =
    '#include <openssl/sha.h>\nint LLVMFuzzerTestOneInput(void);\nint LLVMFuzzerTestOneInput(void) { return 0; }\n' +
    (flags.includes('-fsanitize=fuzzer') ? '' : 'int main(void) { return 0; }\n')
  const { status } = spawnSync(compiler, args, { input })
  rmSync(dir, { recursive: true })
  return status === 0 ? '' : ` (skipped: ${compiler} has no ${[...flags, 'openssl/sha.h'].join(', or no ')})`
}
