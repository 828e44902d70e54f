// Checks the C sources: their layers, their format (clang-format), and what cppcheck and clang-tidy find. A tool or a part that is
// missing on this machine is skipped by name. clang-tidy's results are kept in build/lint, by what it read.
//   node microkit/lint.mjs [--all]    --all: run clang-tidy again on files that were clean
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { wasm2cProblem } from './engine/generate.mjs'
import { buildRoot, findSdks, parseFlags } from './build.mjs'
import { dependencies, findCycle, misplaced, readSources } from './layers.mjs'

const here = import.meta.dirname
const out = join(buildRoot, 'lint')
/** lwIP's configuration follows lwIP's style. */
const VENDORED = /^net\/lwip\//

/** @param {string} command @param {string} [version] */
const runs = (command, version = '--version') => spawnSync(command, [version]).status === 0

/** @returns {string[]} paths relative to this folder */
function sourcePaths() {
  const listed = execFileSync(
    'git',
    ['ls-files', '--cached', '--others', '--exclude-standard', '*.c', '*.h'],
    {
      cwd: here,
      encoding: 'utf8',
    },
  )
  return listed.split('\n').filter((path) => path !== '' && existsSync(join(here, path)))
}

/** @param {string[]} paths @returns {string[]} one line for each problem */
function checkLayers(paths) {
  const sources = readSources(here, paths)
  const cycle = findCycle(dependencies(sources))
  const store = sources.filter(({ path }) => dirname(path) === 'psdb')
  return [...(cycle === undefined ? [] : [`include cycle: ${cycle.join(' → ')}`]), ...misplaced(store)]
}

/** @param {string[]} paths */
function checkFormat(paths) {
  const { status, stderr } = spawnSync('clang-format', ['--dry-run', '-Werror', ...paths], {
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

/** Flags of the files that are built for a host, by the beginning of their paths. @type {[string, string][]} */
const HOST_FLAGS = [
  ['psdb/host/', '-std=c11 -D_DEFAULT_SOURCE -DOPENSSL_SUPPRESS_DEPRECATED -DPSDB_FAULTS -Ipsdb'],
  ['psdb/test/', '-std=c11 -D_GNU_SOURCE'],
  ['psdb/fuzz/', '-std=c11 -D_GNU_SOURCE'],
  ['psdb/', '-std=c11 -ffreestanding'],
]

/**
 * @param {string[]} paths
 * @returns {{ jobs: { path: string, flags: string[] }[], skipped: string[] }}
 */
function tidyJobs(paths) {
  const lacking = [
    ...(findSdks().length > 0 ? [] : ['the Microkit SDK (qemu/get-sdk)']),
    ...(runs('cargo') ? [] : ['cargo']),
    ...wasm2cProblem(),
  ]
  const domains = lacking.length === 0 ? parseFlags(out) : new Map()
  const jobs = paths
    .filter((path) => path.endsWith('.c'))
    .flatMap((path) => {
      const host = HOST_FLAGS.find(([begins]) => path.startsWith(begins))?.[1]
      const flags = host?.split(' ') ?? domains.get(path)
      return flags === undefined ? [] : [{ path, flags }]
    })
  return { jobs, skipped: lacking.map((what) => `clang-tidy of the protection domains: missing ${what}`) }
}

/** @param {{ path: string, flags: string[] }} job @returns {string} a file that exists if clang-tidy found nothing in this input */
function stampOf({ path, flags }) {
  const read = execFileSync('clang', ['-E', '-CC', ...flags, path], { cwd: here, maxBuffer: 1 << 28 })
  const hash = createHash('sha256').update(read).update(flags.join(' '))
  hash.update(readFileSync(join(here, '.clang-tidy')))
  return join(out, `${path.replaceAll('/', '_')}-${hash.digest('hex').slice(0, 32)}`)
}

/** @param {{ path: string, flags: string[] }} job @param {boolean} all @returns {Promise<string>} its findings */
async function tidy(job, all) {
  const stamp = stampOf(job)
  if (!all && existsSync(stamp)) return ''
  const child = spawn('clang-tidy', ['--quiet', job.path, '--', ...job.flags], { cwd: here })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += String(chunk)))
  const status = await new Promise((resolve) => child.on('close', resolve))
  if (status === 0) writeFileSync(stamp, '')
  return status === 0 ? '' : text.trim()
}

/** @param {{ path: string, flags: string[] }[]} jobs @param {boolean} all */
async function checkTidy(jobs, all) {
  mkdirSync(out, { recursive: true })
  const queue = [...jobs]
  /** @type {string[]} */
  const found = []
  const work = async () => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
      const text = await tidy(job, all)
      if (text !== '') found.push(text)
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  return found
}

const paths = sourcePaths().filter((path) => !VENDORED.test(path))
const sources = paths.filter((path) => path.endsWith('.c'))
const problems = checkLayers(paths)
/** @type {string[]} */
const skipped = []
if (runs('clang-format')) problems.push(...checkFormat(paths))
else skipped.push('clang-format: not installed')
if (runs('cppcheck')) problems.push(...checkCppcheck(sources))
else skipped.push('cppcheck: not installed')
if (runs('clang-tidy') && runs('clang')) {
  const { jobs, skipped: parts } = tidyJobs(paths)
  skipped.push(...parts)
  problems.push(...(await checkTidy(jobs, process.argv.includes('--all'))))
} else skipped.push('clang-tidy: not installed')

for (const problem of problems) console.error(problem)
if (skipped.length > 0) console.error(`C lint skipped (npm run setup:system installs the tools):`)
for (const what of skipped) console.error(`  ${what}`)
if (problems.length > 0) process.exitCode = 1
