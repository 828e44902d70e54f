// Builds the npm packages: npm run packages -- [--out DIR]. Writes one tarball for each package that has `publishConfig` in its
// package.json, and prints the paths. Nothing is published.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { env, install, root, runTask } from './workspace.mjs'

const { values } = parseArgs({ options: { out: { type: 'string', default: 'dist/npm' } } })
const out = resolve(values.out)
mkdirSync(out, { recursive: true })

if (!install() || !runTask('dist')) process.exit(1)
for (const name of readdirSync(join(root, 'packages'))) {
  const cwd = join(root, 'packages', name)
  if (!isPublished(join(cwd, 'package.json'))) continue
  // pnpm resolves `workspace:` and `catalog:`, and applies `publishConfig`. npm would leave all three in the tarball.
  const args = ['pack', '--json', '--pack-destination', out]
  const { filename } = JSON.parse(execFileSync('pnpm', args, { cwd, env, encoding: 'utf8' }))
  process.stdout.write(`${resolve(out, filename)}\n`)
}

/** @param {string} manifest */
function isPublished(manifest) {
  return existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).publishConfig !== undefined
}
