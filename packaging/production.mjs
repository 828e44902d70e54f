// Copies a package's production dependencies into one node_modules, with their licenses and without development files.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, join, relative, sep } from 'node:path'

/** @typedef {{ name: string, version: string, license: string, at: string }} Installed */

/** Files of a package that are not needed at run time. */
const LEFT_OUT =
  /\.(?:d\.[cm]?ts|[cm]?ts|tsx|map|md|markdown|flow|gyp|gypi|cc|cpp|h|c|o|patch)$|(?:^|\/)(?:\.github|\.vscode|test|tests|__tests__|benchmark|benchmarks|coverage|examples|example|docs)(?:\/|$)|(?:^|\/)\.[^/]+$/i
const KEPT = /(?:^|\/)(?:licen[cs]e|notice|copying)[^/]*$/i

/**
 * Copies the dependencies of `from` (a directory with a package.json) into `into`/node_modules: to the top level if
 * the name is free there, else below the package that needs it. Skips the packages of the workspace, which are in the
 * bundle.
 * @param {string} from
 * @param {string} into
 * @returns {Installed[]}
 */
export function copyDependencies(from, into) {
  /** @type {Map<string, string>} directory of a copied package → its source */
  const placed = new Map()
  /** @type {Installed[]} */
  const installed = []
  /** @type {{ source: string, at: string }[]} */
  const queue = [{ source: realpathSync(from), at: into }]
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    for (const name of dependenciesOf(next.source)) {
      const source = find(next.source, name)
      if (source === undefined) continue
      const at = placeFor(name, source, next.at, into, placed)
      if (at === undefined) continue
      placed.set(at, source)
      copyPackage(source, at)
      const { version, license } = manifest(source)
      installed.push({ name, version, license: typeof license === 'string' ? license : 'see its files', at })
      queue.push({ source, at })
    }
  }
  return installed
}

/** @param {string} dir */
function manifest(dir) {
  return JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'))
}

/**
 * Returns the names of the dependencies. Those for other platforms are not installed, so `copyDependencies` skips them.
 * @param {string} dir
 * @returns {string[]}
 */
function dependenciesOf(dir) {
  const {
    dependencies = {},
    optionalDependencies = {},
    peerDependencies = {},
    peerDependenciesMeta = {},
  } = manifest(dir)
  const peers = Object.keys(peerDependencies).filter((name) => peerDependenciesMeta[name]?.optional !== true)
  return [...new Set([...Object.keys({ ...dependencies, ...optionalDependencies }), ...peers])]
    .filter((name) => !name.startsWith('@service-fs/') && !name.startsWith('@types/'))
    .toSorted()
}

/**
 * Returns the directory of the package that `name` resolves to from `dir`, by the rules of Node.js.
 * @param {string} dir
 * @param {string} name
 */
function find(dir, name) {
  for (let above = dir; ; above = dirname(above)) {
    const candidate =
      basename(above) === 'node_modules' ? join(above, name) : join(above, 'node_modules', name)
    if (existsSync(join(candidate, 'package.json'))) return realpathSync(candidate)
    if (above === dirname(above)) return undefined
  }
}

/**
 * Returns where to copy `name` for the package at `user`; undefined when that package already resolves it to `source`.
 * @param {string} name
 * @param {string} source
 * @param {string} user
 * @param {string} top
 * @param {Map<string, string>} placed
 */
function placeFor(name, source, user, top, placed) {
  for (let above = user; ; above = dirname(above)) {
    const found = placed.get(join(above, 'node_modules', name))
    if (found === source) return undefined
    if (found !== undefined) return join(user, 'node_modules', name)
    if (above === top) return join(top, 'node_modules', name)
  }
}

/**
 * @param {string} source
 * @param {string} at
 */
function copyPackage(source, at) {
  mkdirSync(at, { recursive: true })
  cpSync(source, at, {
    recursive: true,
    dereference: true,
    filter: (path) => isWanted(relative(source, path)),
  })
}

/** @param {string} path */
function isWanted(path) {
  if (path === '') return true
  const name = path.split(sep).join('/')
  if (name === 'node_modules' || name.startsWith('node_modules/')) return false
  // Skip native builds for other platforms.
  const prebuilt = /^prebuilds\/([^/]+)/.exec(name)?.[1]
  if (prebuilt !== undefined)
    return prebuilt === `${process.platform}-${process.arch}` && !name.includes('musl')
  return KEPT.test(name) || !LEFT_OUT.test(name)
}

/**
 * Returns all files below `dir`, sorted.
 * @param {string} dir
 * @returns {string[]}
 */
export function filesIn(dir) {
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
}
