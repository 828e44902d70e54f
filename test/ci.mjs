// .ci/run runs this: `npm test`, then the other tests of the full set that the change needs.
// CI_BASE names the commit that the change starts from; see test/affected.mjs for the default.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from '../scripts/workspace.mjs'
import { print } from './run.mjs'

/**
 * Runs a command that writes a summary; one that ends without a summary has failed.
 * @param {string} command
 * @param {readonly string[]} args
 * @returns {import('./run.mjs').Summary}
 */
function summaryOf(command, args) {
  const dir = mkdtempSync(join(tmpdir(), 'service-fs-ci-'))
  const file = join(dir, 'summary.json')
  spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, SUMMARY: file } })
  const summary = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
  rmSync(dir, { recursive: true })
  return summary ?? { passed: 0, failed: 1, skipped: [], failures: [[command, ...args].join(' ')] }
}

const started = performance.now()
const minutes = () => ((performance.now() - started) / 60_000).toFixed(1)

const quick = summaryOf('npm', ['test', '--silent'])
console.log(`npm test took ${minutes()} minutes`)
const rest = summaryOf(process.execPath, [join(import.meta.dirname, 'run.mjs'), 'rest'])
console.log(`all took ${minutes()} minutes`)
print({
  passed: quick.passed + rest.passed,
  failed: quick.failed + rest.failed,
  skipped: [...new Set([...quick.skipped, ...rest.skipped])],
  failures: [...quick.failures, ...rest.failures],
})
process.exitCode = quick.failed + rest.failed === 0 ? 0 : 1
