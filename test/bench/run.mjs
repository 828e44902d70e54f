// Bundles the benchmark (TypeScript) and runs it: `npm run bench -- --help`, `npm run bench:micro -- --help`.

import { build } from 'esbuild'
import { fileURLToPath } from 'node:url'

const isMicro = process.argv[2] === 'micro'
if (isMicro) process.argv.splice(2, 1)
const outfile = fileURLToPath(new URL(isMicro ? 'out/micro.mjs' : 'out/bench.mjs', import.meta.url))

await build({
  entryPoints: [fileURLToPath(new URL(isMicro ? 'micro/micro.ts' : 'bench.ts', import.meta.url))],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  packages: 'external',
  logLevel: 'warning',
})
await import(outfile)
