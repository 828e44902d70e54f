// What `npm test` runs: types, lint, and every test. Its last line is `N passed, N failed, N skipped`.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

const bin = join(import.meta.dirname, '..', 'node_modules', '.bin')
/** Commands that tests use, and the Debian packages that have them. */
const TOOLS = { strace: 'strace', dash: 'dash', flock: 'util-linux', openssl: 'openssl' }

function run(command, args) {
  return (
    spawnSync(command, args, {
      stdio: 'inherit',
      env: { ...process.env, PATH: bin + delimiter + process.env.PATH },
    }).status === 0
  )
}

function has(command) {
  return process.env.PATH.split(delimiter).some((dir) => existsSync(join(dir, command)))
}

function installTools() {
  const missing = Object.keys(TOOLS).filter((tool) => !has(tool))
  if (missing.length === 0 || !existsSync('/etc/debian_version') || process.getuid() !== 0) return
  const quiet = {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  }
  spawnSync('apt-get', ['update', '-qq'], quiet)
  spawnSync(
    'apt-get',
    ['install', '-y', '-qq', '--no-install-recommends', ...missing.map((tool) => TOOLS[tool])],
    quiet,
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

installTools()
/** @type {[string, () => boolean][]} */
const checks = [
  ['types of the packages', () => run('npm', ['run', '--silent', 'typecheck'])],
  ['types of the tests', () => run('tsc', ['-p', '.'])],
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
