// The Go toolchain, for tests that check the ledger with independent programs.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './process.ts'

/** `go version`, or undefined when there is no go. */
export const goVersion: string | undefined = (() => {
  const found = spawnSync('go', ['version'], { encoding: 'utf8' })
  return found.status === 0 ? found.stdout.trim() : undefined
})()

/**
 * Fetches the modules of a go.mod into Go's cache, without network if they are present.
 * Returns undefined, or the reason for the failure in one line.
 */
export async function goModules(dir: string): Promise<string | undefined> {
  const done = await run('go', ['mod', 'download'], { cwd: dir, timeoutMs: 300_000 })
  return done.code === 0 ? undefined : `its modules cannot be fetched: ${lastLine(done.stderr)}`
}

const hasFlock = spawnSync('flock', ['--version']).status === 0

/** Runs go, and nothing else that writes to the same folder of programs meanwhile. */
function runAlone(bin: string, args: string[], options: Parameters<typeof run>[2]): ReturnType<typeof run> {
  mkdirSync(bin, { recursive: true })
  return hasFlock ? run('flock', [join(bin, '.lock'), 'go', ...args], options) : run('go', args, options)
}

/** Runs `go build -o bin packages...` in a module; throws with the compiler's output. */
export async function goBuild(dir: string, bin: string, packages: readonly string[]): Promise<void> {
  const args = ['build', '-o', `${bin}/`, ...packages]
  const done = await runAlone(bin, args, { cwd: dir, timeoutMs: 300_000 })
  if (done.code !== 0) throw new Error(`go build ${packages.join(' ')} in ${dir}:\n${done.stderr}`)
}

const FSCK = 'github.com/transparency-dev/tessera/cmd/fsck@v1.0.4'
const VERSITYGW = 'github.com/versity/versitygw/cmd/versitygw@v1.2.0'

/** Installs Tessera's fsck into a folder, once; returns undefined, or the reason for the failure in one line. */
export function installFsck(bin: string): Promise<string | undefined> {
  return install(bin, 'fsck', FSCK)
}

/** Installs versitygw, an S3-compatible store over a folder, like `installFsck`. */
export function installVersitygw(bin: string): Promise<string | undefined> {
  return install(bin, 'versitygw', VERSITYGW)
}

async function install(bin: string, program: string, module: string): Promise<string | undefined> {
  if (existsSync(join(bin, program))) return undefined
  const options = { cwd: bin, env: { GOBIN: bin }, timeoutMs: 600_000 }
  const done = await runAlone(bin, ['install', module], options)
  if (done.code === 0) return undefined
  return `${module} cannot be installed: ${done.timedOut ? 'it takes longer than 600 s' : lastLine(done.stderr)}`
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? ''
}
