// Runs the verifier in Python.
import { spawnSync, type SpawnSyncReturns } from 'node:child_process'
import { join } from 'node:path'
import { repoRoot } from '../support/root.ts'

/** Verifies a ledger. The result has `error` if there is no python3. */
export function runVerifier(dir: string): SpawnSyncReturns<string> {
  const script = join(repoRoot, 'test/outsiders/verifier.py')
  return spawnSync('python3', ['-I', script, dir], { encoding: 'utf8' })
}
