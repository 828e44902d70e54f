// Independent checkers: Go's x/mod (through the program in this folder) and Tessera's fsck.

import { join } from 'node:path'
import { goModules, goVersion, installFsck } from '../support/go.ts'
import { run } from '../support/process.ts'
import { repoRoot } from '../support/root.ts'

export const interopDir: string = join(repoRoot, 'test/interop')
export const binDir: string = join(interopDir, 'bin')

/** Why the Go program cannot be built here, or undefined. */
export async function missingGo(): Promise<string | undefined> {
  return goVersion === undefined ? 'go is not installed' : await goModules(interopDir)
}

/** Why Tessera's fsck is unavailable, or undefined; installs it on the first call. */
export async function missingFsck(): Promise<string | undefined> {
  return goVersion === undefined ? 'go is not installed' : await installFsck(binDir)
}

export interface InteropReport {
  ok: boolean
  origin: string
  size: number
  bundles: number
  tiles: number
  inclusion_proofs: number
  consistency_proofs: number
  http_checks: number
  other_signatures: number
  failures: string[]
}

/** Runs the Go program of this folder (built by goBuild) against a log. */
export async function interop(
  prefix: string,
  vkey: string,
): Promise<{ code: number | null; report: InteropReport }> {
  const done = await run(join(binDir, 'interop'), ['-prefix', prefix, '-vkey', vkey])
  if (!done.stdout.startsWith('{')) throw new Error(`interop: no report: ${done.stderr}`)
  const report: InteropReport = JSON.parse(done.stdout)
  return { code: done.code, report }
}

/**
 * Runs fsck v1.0.4 against a log; returns the verified size, or its error. Parses the output, because the exit status is 0 even
 * after a failed check. With more workers than tiles it cannot hang on a failed worker.
 */
export async function fsck(prefix: string, vkeyFile: string): Promise<{ good?: number; complaint?: string }> {
  const args = [`--storage_url=${prefix}`, `--public_key=${vkeyFile}`, '--ui=false', '--N=16']
  const done = await run(join(binDir, 'fsck'), args)
  const complaint = /fsck failed: .*/.exec(done.stderr)?.[0]
  const good = /Successfully fsck'd log with size (\d+)/.exec(done.stderr)?.[1]
  if (done.code === 0 && good !== undefined && complaint === undefined) return { good: Number(good) }
  return {
    complaint:
      complaint ?? `exit ${done.code ?? done.signal}${done.timedOut ? ', timed out' : ''}: ${done.stderr}`,
  }
}
