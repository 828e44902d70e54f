// The tools besides Node that build and boot an appliance. Installs them on Debian if run as root, and names missing ones.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { missing } from '../microkit/build.mjs'
import { hasQemu } from './run.mjs'

/** The commands of each compiler, and their Debian packages. @type {Record<string, Record<string, string>>} */
const COMPILERS = {
  gcc: { 'aarch64-linux-gnu-gcc': 'gcc-aarch64-linux-gnu' },
  clang: { clang: 'clang', 'ld.lld': 'lld' },
}
const TOOLS = {
  'qemu-system-aarch64': 'qemu-system-arm ipxe-qemu',
  wasm2c: 'wabt',
  make: 'make',
  cargo: 'cargo',
}

/** @param {string} command */
const has = (command) => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0

/** Returns the packages of missing commands. @param {string} compiler @returns {string[]} */
export const packages = (compiler) =>
  Object.entries({ ...TOOLS, ...COMPILERS[compiler] }).flatMap(([command, names]) =>
    has(command) ? [] : names.split(' '),
  )

/** @param {string} compiler @returns {string[]} the tools that are still missing, and how to install each */
export function provide(compiler) {
  const wanted = packages(compiler)
  if (wanted.length > 0 && existsSync('/etc/debian_version') && process.getuid?.() === 0) {
    console.error(`installing ${wanted.join(' ')}`)
    /** @type {import('node:child_process').SpawnSyncOptions} */
    const quiet = {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    }
    spawnSync('apt-get', ['update', '-qq'], quiet)
    spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...wanted], quiet)
  }
  return [
    ...missing(compiler),
    ...(hasQemu() ? [] : ['qemu-system-aarch64 (apt-get install qemu-system-arm ipxe-qemu)']),
  ]
}
