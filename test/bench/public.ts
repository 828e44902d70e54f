// A server of a public ledger, whose reads are not recorded: the daemon has no such mode, so this bundles one from a build's packages.

import { build as bundle, type Plugin } from 'esbuild'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { collect, end } from '../support/process.ts'
import type { Build } from './builds.ts'
import { benchDir, checkpointSize, MODULE, type Place, type Server } from './servers.ts'

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

const bundles = new Map<string, Promise<string>>()

export async function startPublic(build: Build, place: Place): Promise<Server> {
  const root = 'root' in place ? place.root : join(place.work, 'public-data')
  if ('work' in place) await rm(root, { recursive: true, force: true })
  await mkdir(root, { recursive: true })
  const script = bundles.get(build.root) ?? bundleServer(build)
  bundles.set(build.root, script)
  const child = spawn(process.execPath, [await script, root, MODULE], { stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  child.once('exit', () => running.delete(child))
  const stderr = collect(child.stderr)
  const lines = createInterface({ input: child.stdout })
  const [url]: unknown[] = await Promise.race([once(lines, 'line'), once(child, 'exit')])
  if (typeof url !== 'string') throw new Error(`the public server did not start: ${stderr()}`)
  return {
    target: 'service-fs',
    url,
    pid: child.pid ?? 0,
    size: () => checkpointSize(`${url}checkpoint`, { 'x-foundry-module-id': MODULE }),
    stop: () => end(child, 'SIGTERM', 60_000),
    async dispose() {
      await end(child, 'SIGTERM')
      if ('work' in place) await rm(root, { recursive: true, force: true })
    },
  }
}

async function bundleServer(build: Build): Promise<string> {
  const dir = join(benchDir, 'out')
  mkdirSync(dir, { recursive: true })
  const outfile = join(dir, `public-server-${bundles.size}.cjs`)
  await bundle({
    entryPoints: [join(benchDir, 'public-server.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20.19',
    external: ['koffi'],
    logLevel: 'silent',
    plugins: [packagesOf(build)],
  })
  return outfile
}

/** Resolves the workspace's packages to the sources of the build. */
export function packagesOf({ root }: Pick<Build, 'root'>): Plugin {
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
