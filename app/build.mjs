// Bundles the command into dist/: node build.mjs. The packages of the workspace go into the bundle; package.json's `dependencies` do not.
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build, context } from 'esbuild'

const app = import.meta.dirname
const { dependencies } = JSON.parse(readFileSync(join(app, 'package.json'), 'utf8'))

/** @type {import('esbuild').BuildOptions} */
const OPTIONS = {
  absWorkingDir: app,
  entryPoints: {
    main: 'src/main.ts',
    'check-worker': '../packages/client/src/check-worker.ts',
    'file-worker': '../packages/cli/src/file-worker.ts',
  },
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  sourcemap: true,
  logLevel: 'warning',
  splitting: true,
  chunkNames: 'chunk-[hash]',
  outdir: 'dist',
  external: Object.keys(dependencies),
}

/**
 * Bundles the command now and after each change of a source, until the process ends.
 * @param {() => void} done called after each bundle without errors
 */
export async function watch(done) {
  /** @type {import('esbuild').Plugin} */
  const notify = {
    name: 'notify',
    setup: (bundle) =>
      bundle.onEnd(({ errors }) => {
        if (errors.length === 0) done()
      }),
  }
  const bundles = await context({ ...OPTIONS, plugins: [notify] })
  await bundles.watch()
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  rmSync(join(app, 'dist'), { recursive: true, force: true })
  await build(OPTIONS)
}
