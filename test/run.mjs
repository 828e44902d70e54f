// What `npm test` runs: types, lint, and every test. Its last line is `N passed, N failed, N skipped`.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

const bin = join(import.meta.dirname, '..', 'node_modules', '.bin')
function run(command, args) {
  return (
    spawnSync(command, args, {
      stdio: 'inherit',
      env: { ...process.env, PATH: bin + delimiter + process.env.PATH },
    }).status === 0
  )
}

function runTests(filters) {
  const dir = mkdtempSync(join(tmpdir(), 'service-fs-test-'))
  const report = join(dir, 'report.json')
  const done = run('vitest', [
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile=${report}`,
    ...filters,
  ])
  const results = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : undefined
  rmSync(dir, { recursive: true })
  return { done, results }
}

/** @type {[string, () => boolean][]} */
const checks = [
  ['types', () => run('npm', ['run', '--silent', 'typecheck'])],
  ['lint', () => run('oxlint', ['--quiet'])],
  ['format', () => run('oxfmt', ['--check'])],
]
/** @type {string[]} */
const failedChecks = []
for (const [name, check] of checks) if (!check()) failedChecks.push(name)
const { done, results } = runTests(process.argv.slice(2))
for (const name of failedChecks) console.log(`failed: ${name}`)
for (const file of results?.testResults ?? []) {
  for (const test of file.assertionResults)
    if (test.status === 'pending' || test.status === 'skipped') console.log(`skipped: ${test.fullName}`)
}
const passed = (results?.numPassedTests ?? 0) + checks.length - failedChecks.length
// A file that could not even be loaded counts as one failure.
const broken = (results?.testResults ?? []).filter(
  (file) => file.status === 'failed' && file.assertionResults.length === 0,
).length
let failed = (results?.numFailedTests ?? 0) + broken + failedChecks.length
if (!done && failed === 0) failed = 1
const skipped = (results?.numPendingTests ?? 0) + (results?.numTodoTests ?? 0)
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
process.exit(failed === 0 ? 0 : 1)
