// Builds dist/bundle.js: the core as one script for QuickJS, without imports.
import { mkdir, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))

const { metafile, outputFiles } = await build({
  absWorkingDir: here('..'),
  entryPoints: [here('src/main.ts')],
  outfile: here('dist/bundle.js'),
  bundle: true,
  format: 'iife',
  platform: 'neutral',
  target: 'es2023',
  mainFields: ['module', 'main'],
  alias: {
    // Replace the packages' portable hash by the machine's.
    '@noble/hashes/sha2.js': here('src/sha256.ts'),
    '@noble/curves/ed25519.js': here('src/absent.ts'),
    '@noble/post-quantum/ml-dsa.js': here('src/absent.ts'),
  },
  legalComments: 'none',
  // Every tenant keeps the script in memory. Identifiers and short lines are kept, so that stack traces name the
  // place. Syntax is not minified, because esbuild would make loops that begin with `for (let [a, b] = …;`, which
  // QuickJS cannot parse.
  minifyWhitespace: true,
  lineLimit: 160,
  metafile: true,
  write: false,
  logLevel: 'warning',
})
await mkdir(here('dist'), { recursive: true })
for (const { path, text } of outputFiles) await writeFile(path, text)
await writeFile(here('dist/bundle.meta.json'), JSON.stringify(metafile))
