// An empty project into which the packages are installed, as a user of npm would.

import { mkdtemp, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run, type Finished } from '../support/process.ts'
import { repoRoot } from '../support/root.ts'

/** The packages that the examples also import. */
const OTHERS = ['fastify@5.12.8', '@types/node@20.19.43']

/** npm's errors when it cannot reach the registry. */
const UNREACHABLE = /\b(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENOTCACHED|ENETUNREACH)\b/

export interface Project {
  readonly directory: string
  /** Paths of the packages as npm would publish them. */
  readonly tarballs: readonly string[]
  /** Writes a file of the project. */
  write(name: string, text: string): Promise<void>
  /** Runs a program of the project, or any other. */
  run(command: string, args: readonly string[]): Promise<Finished>
  dispose(): Promise<void>
}

/** Packs every package and installs all of them. If npm cannot reach the registry, returns the reason. */
export async function createProject(): Promise<Project | string> {
  const directory = await mkdtemp(join(tmpdir(), 'service-fs-packages-'))
  const packed = join(directory, 'packed')
  const packing = await run(process.execPath, ['scripts/pack.mjs', '--out', packed], { cwd: repoRoot })
  if (packing.code !== 0) throw new Error(`scripts/pack.mjs: ${packing.stderr}${packing.stdout}`)
  const tarballs = (await readdir(packed)).map((name) => join(packed, name))
  const app = join(directory, 'app')
  await mkdir(app)
  await writeFile(join(app, 'package.json'), '{ "private": true, "type": "module" }\n')
  const options = ['--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline', '--loglevel=error']
  const installed = await run('npm', ['install', ...options, ...tarballs, ...OTHERS], { cwd: app })
  if (installed.code !== 0) {
    await rm(directory, { recursive: true, force: true })
    if (UNREACHABLE.test(installed.stderr)) return 'npm does not reach its registry'
    throw new Error(`npm install: ${installed.stderr}`)
  }
  return {
    directory: app,
    tarballs,
    write: (name, text) => writeFile(join(app, name), text),
    run: (command, args) => run(command, args, { cwd: app }),
    dispose: () => rm(directory, { recursive: true, force: true }),
  }
}

/** Returns the path of a Node.js of this version, which npm downloads once; or the reason why there is none. */
export async function nodeOf(version: string): Promise<{ path: string } | { missing: string }> {
  if (process.version === `v${version}`) return { path: process.execPath }
  const args = ['--yes', '--prefer-offline', `--package=node@${version}`, '-c', 'command -v node']
  const found = await run('npx', args, { timeoutMs: 300_000 })
  const path = found.stdout.trim()
  const started = found.code === 0 ? await run(path, ['--version']) : undefined
  if (started?.stdout.trim() === `v${version}`) return { path }
  return { missing: `npm does not install node@${version}` }
}
