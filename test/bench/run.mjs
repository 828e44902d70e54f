// Bundles the benchmark (TypeScript) and runs it: `npm run bench -- --help`.

import { build } from 'esbuild'
import { fileURLToPath } from 'node:url'

const outfile = fileURLToPath(new URL('out/bench.mjs', import.meta.url))

await build({
  entryPoints: [fileURLToPath(new URL('bench.ts', import.meta.url))],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  packages: 'external',
  logLevel: 'warning',
})
await import(outfile)
