// Runs the checks and a set of tests: node test/run.mjs quick|full|rest [VITEST ARGUMENT...].
// quick: what `npm test` runs. full: everything. rest: the checks and tests of the full set that `npm test` does not run, for .ci/run.
// The last line is `N passed, N failed, N skipped`. Before it come the failed checks and tests, each test with its file and the
// start of its error, and the skipped tests.
// With TIMES=1 in the environment it records the times of the slow files; see times.mjs.
// With SUMMARY=FILE in the environment those lines go to FILE as JSON instead, and .ci/run prints them.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { env, root, run } from '../scripts/workspace.mjs'
import { filesLeft } from './affected.mjs'

/** @typedef {{ passed: number, failed: number, skipped: string[], failures: string[] }} Summary */

const types = ['npm', 'run', '--silent', 'typecheck']
const lint = ['npm', 'run', '--silent', 'lint']

/**
 * The checks of each set. In the quick set clang-tidy reads only the store; the other C sources are of the full set.
 * @type {Record<string, Record<string, string[]>>}
 */
const CHECKS = {
  quick: { types, lint: [...lint, '--', '--quick'] },
  full: { types, lint },
  rest: { 'lint of the other C sources': ['node', 'microkit/lint.mjs', '--rest'] },
}

/**
 * Runs vitest and returns its JSON report.
 * @param {readonly string[]} args
 * @param {Record<string, string>} variables
 */
function runTests(args, variables) {
  const dir = mkdtempSync(join(tmpdir(), 'service-fs-test-'))
  const file = join(dir, 'report.json')
  const times = process.env.TIMES === '1' ? [`--reporter=${join(root, 'test/times.mjs')}`] : []
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile=${file}`, ...times]
  const { status } = spawnSync('vitest', ['run', ...reporters, ...args], {
    cwd: root,
    stdio: 'inherit',
    env: { ...env, ...variables },
  })
  const report = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
  rmSync(dir, { recursive: true })
  return { isGreen: status === 0, report }
}

/** Lines of an error that the summary shows. */
const ERROR_LINES = 12

/** @param {string} error */
const start = (error) =>
  error
    .split('\n')
    .filter((line) => !line.includes('/node_modules/'))
    .slice(0, ERROR_LINES)
    .join('\n    ')

/**
 * Describes the failed tests of a file of vitest's report, and the file itself if it could not be loaded.
 * @param {any} file
 * @returns {string[]}
 */
function failuresOf({ name, status, message, assertionResults }) {
  const path = relative(root, name)
  if (status === 'failed' && assertionResults.length === 0) return [`${path}\n    ${start(message)}`]
  return assertionResults
    .filter((/** @type {any} */ test) => test.status === 'failed')
    .map(
      (/** @type {any} */ test) =>
        `${path} > ${test.fullName}\n    ${start(test.failureMessages.join('\n'))}`,
    )
}

/**
 * @param {readonly string[]} failedChecks
 * @param {number} checks how many ran
 * @param {{ isGreen: boolean, report: any }} tests
 * @returns {Summary}
 */
function summarize(failedChecks, checks, { isGreen, report }) {
  const files = report?.testResults ?? []
  const failures = [...failedChecks, ...files.flatMap(failuresOf)]
  if (failures.length === 0 && !isGreen) failures.push('vitest')
  return {
    passed: (report?.numPassedTests ?? 0) + checks - failedChecks.length,
    failed: failures.length,
    skipped: files
      .flatMap((/** @type {any} */ file) => file.assertionResults)
      .filter((/** @type {any} */ test) => ['pending', 'skipped', 'todo'].includes(test.status))
      .map((/** @type {any} */ test) => test.fullName),
    failures,
  }
}

/**
 * Prints the last lines of `npm test`.
 * @param {Summary} summary
 */
export function print({ passed, failed, skipped, failures }) {
  for (const name of skipped) console.log(`skipped: ${name}`)
  for (const failure of failures) console.log(`failed: ${failure}`)
  console.log(`${passed} passed, ${failed} failed, ${skipped.length} skipped`)
}

/**
 * @param {string} set
 * @param {readonly string[]} args
 */
function main(set, args) {
  const checks = Object.entries(CHECKS[set] ?? {})
  const failedChecks = checks
    .filter(([, [command = '', ...rest]]) => !run(command, rest))
    .map(([name]) => name)
  const files = set === 'rest' ? filesLeft() : []
  const tests =
    set === 'rest' && files.length === 0
      ? { isGreen: true, report: undefined }
      : runTests([...files, ...args], set === 'quick' ? { QUICK: '1' } : {})
  const summary = summarize(failedChecks, checks.length, tests)
  const { SUMMARY } = process.env
  if (SUMMARY === undefined) print(summary)
  else writeFileSync(SUMMARY, JSON.stringify(summary))
  return summary.failed === 0 ? 0 : 1
}

if (process.argv[1] === import.meta.filename) {
  const [set = '', ...args] = process.argv.slice(2)
  if (!Object.hasOwn(CHECKS, set)) throw new Error(`expected quick, full or rest, found ${set}`)
  process.exitCode = main(set, args)
}
