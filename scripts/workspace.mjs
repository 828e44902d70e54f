// Runs turbo tasks over the packages after installing what pnpm-lock.yaml names: node scripts/workspace.mjs TASK [TURBO OPTION...].
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'

export const root = dirname(import.meta.dirname)
const bin = join(root, 'node_modules/.bin')

/** The environment of every tool: the repository's own versions first, and no usage data for turbo's vendor. */
export const env = {
  ...process.env,
  PATH: bin + delimiter + process.env.PATH,
  TURBO_TELEMETRY_DISABLED: '1',
}

/**
 * Runs a command in the repository's root and reports whether it succeeded.
 * @param {string} command
 * @param {readonly string[]} args
 */
export function run(command, args) {
  return spawnSync(command, args, { cwd: root, stdio: 'inherit', env }).status === 0
}

/** Whether the dependencies were installed before. */
export const isInstalled = () => existsSync(join(bin, 'pnpm'))

/** Installs what pnpm-lock.yaml names. The first installation also installs pnpm, which later finds in 0.3 s that nothing has changed. */
export function install() {
  const options = ['install', '--frozen-lockfile', '--prefer-offline', '--reporter=silent']
  if (isInstalled()) return run('pnpm', options)
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return run('npx', ['--yes', packageManager, ...options])
}

/**
 * Runs a task in every package that has it; turbo skips those whose inputs have not changed.
 * @param {string} task
 * @param {readonly string[]} [options]
 */
export const runTask = (task, options = []) =>
  run('turbo', ['run', task, '--output-logs=errors-only', ...options])

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [task, ...options] = process.argv.slice(2)
  const done = install() && (task === undefined || runTask(task, options))
  process.exitCode = done ? 0 : 1
}
