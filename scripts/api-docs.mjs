// Writes the API documentation of the packages on npm into dist/api: npm run docs:api. typedoc needs the compiler API of an
// earlier TypeScript, so npm fetches both for this run.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { root, run } from './workspace.mjs'

const PACKAGES = ['client', 'fastify', 'format', 'tlog', 'wire']
const tools = ['--package=typedoc@0.28.20', '--package=typescript@5.9.3']
const entries = PACKAGES.flatMap((name) => ['--entryPoints', `packages/${name}/src/index.ts`])
const options = [
  ['--tsconfig', 'tsconfig.json', '--skipErrorChecking'],
  ['--name', 'service-fs', '--readme', 'none', '--out', 'dist/api'],
  // Signatures may name types that the index leaves out on purpose.
  ['--validation.notExported', 'false', '--treatWarningsAsErrors'],
].flat()
const done = run('npx', ['--yes', ...tools, 'typedoc', ...entries, ...options])
process.exitCode = done && existsSync(join(root, 'dist/api/index.html')) ? 0 : 1
