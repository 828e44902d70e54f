// Lists the test files of the full set that `npm test` does not run completely, and those of them that a change needs.
import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { join, sep } from 'node:path'
import { env, root } from '../scripts/workspace.mjs'
import { fullOnly, groups } from './sets.mjs'

/** A change of one of these needs every test. */
const GLOBAL =
  /^(?:package\.json|pnpm-.*|turbo\.json|tsconfig.*|vitest\.config\.ts|scripts\/.*|\.ci\/.*|test\/(?:(?!times\.json$)[^/]*|support\/.*))$/

/** Test files that read QUICK or run in the full set only, narrowed to what has changed since the base commit. */
export function filesLeft() {
  const left = testFiles().filter((path) => fullOnly.includes(path) || readsQuick(path))
  const change = changeSince(base())
  return change === undefined ? left : left.filter((path) => isNeeded(path, change))
}

/** All test files, relative to the root. */
export function testFiles() {
  return ['app', 'packages', 'envelopes', 'test'].flatMap((top) => filesBelow(top)).toSorted()
}

/**
 * @param {string} dir
 * @returns {string[]}
 */
function filesBelow(dir) {
  return readdirSync(join(root, dir), { withFileTypes: true }).flatMap((entry) => {
    const path = `${dir}/${entry.name}`
    if (entry.isDirectory()) return ['node_modules', 'dist'].includes(entry.name) ? [] : filesBelow(path)
    return entry.name.endsWith('.test.ts') ? [path] : []
  })
}

/** @param {string} path */
const readsQuick = (path) => /\bQUICK\b/.test(readFileSync(join(root, path), 'utf8'))

/**
 * The commit that a change starts from: CI_BASE, or where the branch left origin/main. Undefined if that commit cannot
 * be determined.
 */
function base() {
  const { CI_BASE } = process.env
  if (CI_BASE !== undefined && CI_BASE !== '') return CI_BASE
  try {
    return git('rev-parse', 'origin/main') === git('rev-parse', 'HEAD')
      ? undefined
      : git('merge-base', 'origin/main', 'HEAD')
  } catch {
    return undefined
  }
}

/** @param {readonly string[]} args */
const git = (...args) =>
  execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()

/** @typedef {{ files: string[], packages: Map<string, string> }} Change changed files; affected packages: name, folder */

/**
 * @param {string | undefined} commit
 * @returns {Change | undefined} undefined: everything counts as changed
 */
function changeSince(commit) {
  if (commit === undefined) return undefined
  try {
    const files = git('diff', '--name-only', commit).split('\n').filter(Boolean)
    if (files.some((path) => GLOBAL.test(path))) return undefined
    const listed = execFileSync('turbo', ['ls', '--affected', '--output=json'], {
      cwd: root,
      encoding: 'utf8',
      env: { ...env, TURBO_SCM_BASE: commit },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const { packages } = JSON.parse(listed)
    return {
      files,
      packages: new Map(packages.items.map((/** @type {any} */ item) => [item.name, item.path])),
    }
  } catch (error) {
    console.log(`every test runs, since what has changed is unknown: ${String(error)}`)
    return undefined
  }
}

/**
 * @param {string} path of a test file
 * @param {Change} change
 */
function isNeeded(path, { files, packages }) {
  const group = Object.entries(groups).find(([folder]) => path.startsWith(folder))
  if (group === undefined) {
    const isOfPackage = !path.startsWith('test/')
    return (
      !isOfPackage ||
      [...packages.values()].some((folder) => path.startsWith(folder.split(sep).join('/') + '/'))
    )
  }
  const [folder, needs] = group
  return [folder, ...needs].some((need) => packages.has(need) || files.some((file) => file.startsWith(need)))
}
