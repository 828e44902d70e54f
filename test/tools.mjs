// Installs what the build and the tests use besides Node, where the machine is Debian and that is allowed.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Commands that tests use, and the Debian packages that have them. */
const TOOLS = {
  strace: 'strace',
  dash: 'dash',
  flock: 'util-linux',
  setpriv: 'util-linux',
  'mkfs.ext4': 'e2fsprogs',
  openssl: 'openssl',
  cc: 'gcc',
  make: 'make',
  clang: 'clang libclang-rt-dev',
  'llvm-cov': 'llvm',
  busybox: 'busybox',
  bsdtar: 'libarchive-tools',
  python3: 'python3',
  // Of the seL4 appliance, whose tests need a Microkit SDK besides.
  'aarch64-linux-gnu-gcc': 'gcc-aarch64-linux-gnu',
  'ld.lld': 'lld',
  'qemu-system-aarch64': 'qemu-system-arm ipxe-qemu',
  wasm2c: 'wabt',
  // Of the packaging.
  shellcheck: 'shellcheck',
  'systemd-analyze': 'systemd',
}
/** Files that the C parts are built from, and the Debian packages that have them. */
const HEADERS = { '/usr/include/openssl/sha.h': 'libssl-dev', '/usr/include/stdio.h': 'libc6-dev' }

function has(command) {
  return process.env.PATH.split(delimiter).some((dir) => existsSync(join(dir, command)))
}

function installTools() {
  const missing = [
    ...Object.entries(TOOLS).filter(([tool]) => !has(tool)),
    ...Object.entries(HEADERS).filter(([file]) => !existsSync(file)),
  ].flatMap(([, names]) => names.split(' '))
  if (missing.length === 0 || !existsSync('/etc/debian_version') || process.getuid() !== 0) return
  /** @type {import('node:child_process').SpawnSyncOptions} */
  const quiet = {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  }
  spawnSync('apt-get', ['update', '-qq'], quiet)
  const install = (...names) =>
    spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names], quiet).status === 0
  // A release of Debian or Ubuntu may not have all of them.
  if (!install(...missing)) for (const name of missing) install(name)
}

installTools()
