// Bundles programs of the benchmark with the workspace's packages of a build.

import { build as bundle, type Plugin } from 'esbuild'
import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Build } from './builds.ts'
import { benchDir } from './servers.ts'

/** A program: a file of this folder, or a text whose imports are relative to a folder. */
export type Program = { file: string } | { contents: string; resolveDir: string }

/** Bundles the program as `name` in out/, and returns its path. The extension of `name`, cjs or mjs, is its format. */
export async function bundleProgram(program: Program, name: string, build: Build): Promise<string> {
  const dir = join(benchDir, 'out')
  mkdirSync(dir, { recursive: true })
  const outfile = join(dir, name)
  await bundle({
    ...('file' in program ? { entryPoints: [join(benchDir, program.file)] } : { stdin: program }),
    outfile,
    bundle: true,
    platform: 'node',
    format: name.endsWith('.cjs') ? 'cjs' : 'esm',
    target: 'node20.19',
    external: ['koffi'],
    logLevel: 'silent',
    plugins: [packagesOf(build)],
  })
  return outfile
}

/** Resolves the workspace's packages to the sources of the build. */
function packagesOf({ root }: Build): Plugin {
  const found = new Map<string, string>()
  for (const folder of ['packages', 'envelopes', 'envelopes/sel4']) {
    for (const name of readdirSync(join(root, folder))) {
      const dir = join(root, folder, name)
      const file = join(dir, 'package.json')
      if (existsSync(file)) found.set((JSON.parse(readFileSync(file, 'utf8')) as { name: string }).name, dir)
    }
  }
  return {
    name: 'packages of a build',
    setup(bundler) {
      bundler.onResolve({ filter: /^@service-fs\// }, ({ path }) => {
        const [scope = '', name = '', ...rest] = path.split('/')
        const dir = found.get(`${scope}/${name}`)
        const file = join(dir ?? '', 'src', `${rest.length === 0 ? 'index' : rest.join('/')}.ts`)
        return dir !== undefined && existsSync(file)
          ? { path: file }
          : { errors: [{ text: `${root} has no ${path}` }] }
      })
    },
  }
}
