// Makes a release: npm run release -- VERSION [--tested]. Checks that the tree is clean, runs every test, writes the version
// and the heading of CHANGELOG.md, packs the npm packages, commits and tags. It neither pushes nor publishes.
// --tested: CI has passed for this commit, so no tests run.
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const root = join(import.meta.dirname, '..')
const PENDING = '## Unreleased\n'

const { values, positionals } = parseArgs({
  options: { tested: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const [next = ''] = positionals
const { version: current } = JSON.parse(read('package.json'))

const problem = refusal()
if (problem !== undefined) fail(problem)
if (!values.tested) run('npm', ['run', 'test:full'])
try {
  for (const path of writeVersion()) process.stderr.write(`${path}: ${next}\n`)
  writeChangelog()
  rmSync(join(root, 'dist/npm'), { recursive: true, force: true })
  run('node', ['scripts/pack.mjs'])
  git('commit', '--quiet', '--all', '--message', `release: ${next}`)
} catch (error) {
  git('checkout', '--quiet', '--', '.')
  throw error
}
git('tag', '--annotate', '--message', `service-fs ${next}`, `v${next}`)
process.stdout.write(`Released ${next} in this checkout. To publish it:

  git push --follow-tags
  npm publish dist/npm/NAME.tgz     for each package
`)

/** Returns why a release cannot be made now; undefined when it can. */
function refusal() {
  if (!/^\d+\.\d+\.\d+$/.test(next)) return `VERSION: expected MAJOR.MINOR.PATCH, found ${next || 'nothing'}`
  if (!isNewer(next, current)) return `VERSION: expected one above ${current}, found ${next}`
  if (git('status', '--porcelain') !== '') return 'the tree is not clean: commit or stash the changes first'
  if (git('tag', '--list', `v${next}`) !== '') return `the tag v${next} exists`
  const [, changes = ''] = read('CHANGELOG.md').split(PENDING)
  if (changes.split('\n## ')[0]?.trim() === '') return 'CHANGELOG.md: expected changes below "Unreleased"'
  return undefined
}

/**
 * @param {string} a
 * @param {string} b
 */
function isNewer(a, b) {
  const [one, other] = [a.split('.').map(Number), b.split('.').map(Number)]
  const differing = one.findIndex((part, i) => part !== other[i])
  return differing >= 0 && Number(one[differing]) > Number(other[differing])
}

/** Replaces the version in every package.json and in the sources that repeat it. Returns the changed files. */
function writeVersion() {
  const literal = new RegExp(
    `(?<=version\\W{1,5}["'])${current.replaceAll('.', String.raw`\.`)}(?=["'])`,
    'gi',
  )
  const tracked = git('ls-files', '*.json', '*.ts', '*.c').split('\n')
  return tracked.filter((path) => {
    if (path.endsWith('.test.ts')) return false
    const text = read(path)
    const replaced = text.replaceAll(literal, next)
    if (replaced !== text) writeFileSync(join(root, path), replaced)
    return replaced !== text
  })
}

/** Gives the pending changes the heading of the release. */
function writeChangelog() {
  const date = new Date().toISOString().slice(0, 10)
  const text = read('CHANGELOG.md').replace(PENDING, `${PENDING}\n## ${next} (${date})\n`)
  writeFileSync(join(root, 'CHANGELOG.md'), text)
}

/** @param {string} path */
function read(path) {
  return readFileSync(join(root, path), 'utf8')
}

/** @param {string[]} args */
function git(...args) {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()
}

/**
 * @param {string} command
 * @param {string[]} args
 */
function run(command, args) {
  execFileSync(command, args, { cwd: root, stdio: 'inherit' })
}

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message) {
  process.stderr.write(`release: ${message}\n`)
  process.exit(1)
}
