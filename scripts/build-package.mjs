// Builds a library for npm: node ../../scripts/build-package.mjs, run in the package's directory. Writes ES modules and their
// declarations to dist/. Only `npm run pack` needs dist/: the packages of this repository import each other's sources.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const out = join(process.cwd(), 'dist')

/** Compiles every module by itself. Checking types across packages is the job of `npm run typecheck`. */
const FLAGS = ['--noEmit', 'false', '--noCheck', '--noResolve', '--rewriteRelativeImportExtensions']
rmSync(out, { recursive: true, force: true })
execFileSync('tsc', ['-p', '.', ...FLAGS, '--rootDir', 'src', '--outDir', out], { stdio: 'inherit' })

/** Whether a file helps the package's own tests. The published conformance suites import some of these files. */
const isForTests = (/** @type {string} */ path) => /[\\/]testing\b|[\\/]testdata[\\/]/.test(path)

const RELATIVE_IMPORT = /(?<=\b(?:from|import) ?\(?['"])\.{1,2}\/[^'"]+(?=['"])/g

const files = readdirSync(out, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name))
const kept = new Set()
for (const path of files) if (!isForTests(path)) keep(path)
for (const path of files) if (!kept.has(path)) rmSync(path)

/**
 * Keeps a file and all that it imports. tsc rewrites the imports of modules only; this function rewrites the imports of declarations.
 * @param {string} path
 */
function keep(path) {
  if (kept.has(path)) return
  if (!existsSync(path)) throw new Error(`${path}: imported, but not in the package`)
  kept.add(path)
  const text = readFileSync(path, 'utf8')
  const rewritten = text.replaceAll(RELATIVE_IMPORT, (target) => target.replace(/\.ts$/, '.js'))
  if (rewritten !== text) writeFileSync(path, rewritten)
  for (const [target] of rewritten.matchAll(RELATIVE_IMPORT))
    keep(join(dirname(path), path.endsWith('.d.ts') ? target.replace(/\.js$/, '.d.ts') : target))
}
