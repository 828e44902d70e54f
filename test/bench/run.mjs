// Bundles a benchmark (TypeScript) and runs it: `npm run bench -- --help`, `npm run bench:micro -- --help`,
// `npm run bench:limits -- --help`.

import { build } from 'esbuild'
import { fileURLToPath } from 'node:url'

const programs = { bench: 'bench.ts', micro: 'micro/micro.ts', limits: 'limits/run.ts' }
const named = process.argv[2]
const name = named === 'micro' || named === 'limits' ? named : 'bench'
if (name === named) process.argv.splice(2, 1)
const outfile = fileURLToPath(new URL(`out/${name}.mjs`, import.meta.url))

await build({
  entryPoints: [fileURLToPath(new URL(programs[name], import.meta.url))],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  packages: 'external',
  logLevel: 'warning',
})
await import(outfile)
