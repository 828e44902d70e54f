// Checks the C sources: their layers, their format (clang-format), and what cppcheck and clang-tidy find. Skips a tool or a part that
// is missing on this machine, and names it. Keeps clang-tidy's results in build/lint, under a hash of its input.
//   node microkit/lint.mjs [--all] [--quick | --rest]
//     --all: run clang-tidy again on files that were clean
//     --quick: run clang-tidy, which takes most of the time, only on the store
//     --rest: do only what --quick leaves out
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { wasm2cProblem } from './engine/generate.mjs'
import { buildRoot, findSdks, parseFlags, vendor } from './build.mjs'
import { dependencies, findCycle, misplaced, readSources } from './layers.mjs'
import { tidyJobs } from './tidy.mjs'

const here = import.meta.dirname
const out = join(buildRoot, 'lint')
/** lwIP's configuration follows lwIP's style. */
const VENDORED = /^net\/lwip\//

/** @param {string} command @param {string} [version] */
const runs = (command, version = '--version') => spawnSync(command, [version]).status === 0

/** Lists the appliance's sources, and those of the tests. @returns {string[]} paths relative to this folder */
function sourcePaths() {
  const listed = execFileSync(
    'git',
    ['ls-files', '--cached', '--others', '--exclude-standard', '*.c', '*.h', '../test/*.c', '../test/*.h'],
    {
      cwd: here,
      encoding: 'utf8',
    },
  )
  return listed.split('\n').filter((path) => path !== '' && existsSync(join(here, path)))
}

/** @param {string[]} paths @returns {string[]} one line for each problem */
function checkLayers(paths) {
  const sources = readSources(
    here,
    paths.filter((path) => !path.startsWith('../')),
  )
  const cycle = findCycle(dependencies(sources))
  const store = sources.filter(({ path }) => dirname(path) === 'psdb')
  return [...(cycle === undefined ? [] : [`include cycle: ${cycle.join(' → ')}`]), ...misplaced(store)]
}

/** @param {string[]} paths */
function checkFormat(paths) {
  const args = ['--dry-run', '-Werror', '--style=file:.clang-format', ...paths]
  const { status, stderr } = spawnSync('clang-format', args, {
    cwd: here,
    encoding: 'utf8',
  })
  return status === 0 ? [] : [stderr.trim()]
}

/** @param {string[]} paths */
function checkCppcheck(paths) {
  const args = [
    '--quiet',
    '--error-exitcode=1',
    '--inline-suppr',
    '--enable=warning,performance,portability',
    // cppcheck does not see that the tests' FAIL() never returns.
    '--suppress=nullPointerRedundantCheck:psdb/test/*',
    '--suppress=nullPointerRedundantCheck:psdb/fuzz/*',
    '--std=c11',
    '--template=gcc',
    `-j${availableParallelism()}`,
    '-I.',
    '-Ipsdb',
  ]
  const { status, stderr } = spawnSync('cppcheck', [...args, ...paths], { cwd: here, encoding: 'utf8' })
  return status === 0 ? [] : [stderr.trim()]
}

/** Lists the appliances whose protection domains are checked: the example's, and those of the tests. @returns {string[]} */
function applianceLists() {
  const tests = join(here, '../test/appliance')
  const lists = readdirSync(tests).filter((name) => name.endsWith('.json'))
  return [join(here, 'totebox.json'), ...lists.map((name) => join(tests, name))]
}

/** @returns {import('./tidy.mjs').Machine} */
function findMachine() {
  const crates = runs('cargo') ? [] : ['cargo']
  const engine = [...crates, ...wasm2cProblem()]
  const domains = [...(findSdks().length > 0 ? [] : ['the Microkit SDK (qemu/get-sdk)']), ...engine]
  if (crates.length === 0) vendor()
  const fuse = spawnSync('pkg-config', ['--cflags', 'fuse3'], { encoding: 'utf8' })
  const disk = fuse.status === 0 ? [] : ['libfuse3-dev']
  const flags = domains.length === 0 ? parseFlags(out, applianceLists()) : new Map()
  return { lacking: { nothing: [], crates, engine, disk, domains }, domains: flags }
}

/** The sources that --quick checks with clang-tidy. They need no other headers. */
const STORE = /^psdb\/[^/]*\.c$/
/** @type {import('./tidy.mjs').Machine} */
const FOR_STORE = {
  lacking: { nothing: [], crates: [], engine: [], disk: [], domains: [] },
  domains: new Map(),
}

/** @param {string[]} paths @param {Options} options */
function chooseTidyJobs(paths, { quick, rest }) {
  if (quick)
    return tidyJobs(
      paths.filter((path) => STORE.test(path)),
      FOR_STORE,
    )
  return tidyJobs(rest ? paths.filter((path) => !STORE.test(path)) : paths, findMachine())
}

/**
 * @param {{ path: string, flags: string[] }} job
 * @returns {string} a file that exists if clang-tidy found nothing in this input
 */
function stampOf({ path, flags }) {
  const read = execFileSync('clang', ['-E', '-CC', ...flags, path], { cwd: here, maxBuffer: 1 << 28 })
  const hash = createHash('sha256').update(read).update(flags.join(' '))
  hash.update(readFileSync(join(here, '.clang-tidy')))
  return join(out, `${path.replaceAll('/', '_')}-${hash.digest('hex').slice(0, 32)}`)
}

/** @typedef {{ all: boolean, quick: boolean, rest: boolean }} Options */

/** @param {{ path: string, flags: string[] }} job @param {Options} options @returns {Promise<string>} its findings */
async function tidy(job, { all }) {
  const stamp = stampOf(job)
  if (!all && existsSync(stamp)) return ''
  const args = ['--quiet', '--config-file=.clang-tidy', job.path, '--', ...job.flags]
  const child = spawn('clang-tidy', args, { cwd: here })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += String(chunk)))
  const status = await new Promise((resolve) => child.on('close', resolve))
  if (status === 0) writeFileSync(stamp, '')
  return status === 0 ? '' : text.trim()
}

/** @param {{ path: string, flags: string[] }[]} jobs @param {Options} options */
async function checkTidy(jobs, options) {
  mkdirSync(out, { recursive: true })
  const queue = [...jobs]
  /** @type {string[]} */
  const found = []
  const work = async () => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
      const text = await tidy(job, options)
      if (text !== '') found.push(text)
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  return found
}

/**
 * Everything except clang-tidy.
 *
 * @param {string[]} paths
 * @param {string[]} skipped takes a line for each missing tool
 * @returns {string[]} one line for each problem
 */
function checkQuickly(paths, skipped) {
  const problems = checkLayers(paths)
  if (runs('clang-format')) problems.push(...checkFormat(paths))
  else skipped.push('clang-format: not installed')
  if (runs('cppcheck')) problems.push(...checkCppcheck(paths.filter((path) => path.endsWith('.c'))))
  else skipped.push('cppcheck: not installed')
  return problems
}

const flag = /** @type {const} */ ({ type: 'boolean', default: false })
const { values: options } = parseArgs({ options: { all: flag, quick: flag, rest: flag } })
const paths = sourcePaths().filter((path) => !VENDORED.test(path))
/** @type {string[]} */
const skipped = []
const problems = options.rest ? [] : checkQuickly(paths, skipped)
if (runs('clang-tidy') && runs('clang')) {
  const { jobs, skipped: parts, uncovered } = chooseTidyJobs(paths, options)
  skipped.push(...parts)
  problems.push(...uncovered)
  problems.push(...(await checkTidy(jobs, options)))
} else skipped.push('clang-tidy: not installed')

for (const problem of problems) console.error(problem)
if (skipped.length > 0) console.error(`C lint skipped (npm run setup:system installs the tools):`)
for (const what of skipped) console.error(`  ${what}`)
if (problems.length > 0) process.exitCode = 1
