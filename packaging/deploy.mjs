// The program with the packages that it needs at run time, as pnpm deploys them, and the licenses of those packages.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { env, root } from '../scripts/workspace.mjs'

const APP = '@service-fs/app'

/** Files that packages contain but the program does not need at run time. */
const LEFT_OUT =
  /\.(?:d\.[cm]?ts|[cm]?ts|tsx|map|md|markdown|flow|gyp|gypi|cc|cpp|h|c|o|patch)$|(?:^|\/)(?:\.github|\.vscode|test|tests|__tests__|benchmark|benchmarks|coverage|examples|example|docs)(?:\/|$)|(?:^|\/)\.[^/]+$/i
const KEPT = /(?:^|\/)(?:licen[cs]e|notice|copying)[^/]*$/i

/**
 * Deploys the program to `lib`: bin/, dist/, and node_modules/ with its production dependencies, without development files.
 * @param {string} lib
 * @param {string} work a directory on the file system of `lib`
 */
export function deploy(lib, work) {
  const at = mkdtempSync(join(work, 'deploy-'))
  // Hoisted packages are real directories: dpkg and its checksums do not follow links into a store. `npm run build` has filled the store.
  const options = ['--prod', '--prefer-offline', '--ignore-scripts', '--node-linker=hoisted']
  pnpm('--filter', APP, 'deploy', ...options, at)
  for (const part of ['bin', 'dist', 'node_modules'])
    cpSync(join(at, part), join(lib, part), {
      recursive: true,
      filter: (path) => isWanted(relative(at, path)),
    })
  rmSync(at, { recursive: true })
}

/** @param {string} path */
function isWanted(path) {
  const name = path.split(sep).join('/')
  // Skip native builds for other platforms.
  const prebuilt = /\/prebuilds\/([^/]+)/.exec(name)?.[1]
  if (prebuilt !== undefined)
    return prebuilt === `${process.platform}-${process.arch}` && !name.includes('musl')
  return KEPT.test(name) || !LEFT_OUT.test(name)
}

/**
 * Describes every package in the deployed program, the bundled ones too: a line for each, and the license texts of those that have no
 * directory below `lib`.
 * @param {string} lib
 */
export function licenses(lib) {
  // The bundle contains the workspace's packages and their dependencies, so list the licenses of all of them.
  const listed = JSON.parse(pnpm('--filter', `${APP}...`, 'licenses', 'list', '--json', '--prod'))
  const packages = Object.values(listed)
    .flat()
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const lines = packages.map(({ name, versions, license }) => `${name} ${versions.join(', ')}: ${license}`)
  const texts = packages
    .filter(({ name }) => !existsSync(join(lib, 'node_modules', name)))
    .map(({ name, paths }) => `${name}:\n\n${licenseIn(paths[0])}`)
  return { lines, texts }
}

/** @param {string} dir */
function licenseIn(dir) {
  const file = readdirSync(dir).find((name) => KEPT.test(name))
  if (file === undefined) throw new Error(`${dir}: expected a license file`)
  return readFileSync(join(dir, file), 'utf8').trim()
}

/** Runs the pinned pnpm in this checkout and returns its output. @param {string[]} args */
function pnpm(...args) {
  return execFileSync('pnpm', args, {
    cwd: root,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}
