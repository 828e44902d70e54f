// Installs the Debian packages that the tests, the C lint and the appliance use: npm run setup:system. Does nothing elsewhere.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Commands that the tests run, and the Debian packages that have them. */
const COMMANDS = {
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
  // The page of an examiner's pack.
  chromium: 'chromium',
  unshare: 'util-linux',
  // Shell completion and the man page.
  fish: 'fish',
  zsh: 'zsh',
  mandoc: 'mandoc',
  groff: 'groff-base',
  // The C lint.
  'clang-format': 'clang-format',
  'clang-tidy': 'clang-tidy',
  cppcheck: 'cppcheck',
  // The appliance, which needs a Microkit SDK too (qemu/get-sdk).
  'aarch64-linux-gnu-gcc': 'gcc-aarch64-linux-gnu',
  'ld.lld': 'lld',
  'qemu-system-aarch64': 'qemu-system-arm ipxe-qemu',
  wasm2c: 'wabt',
  // The packaging.
  shellcheck: 'shellcheck',
  'systemd-analyze': 'systemd',
}
/** Files that the C programs are built from, and the Debian packages that have them. */
const FILES = {
  '/usr/include/openssl/sha.h': 'libssl-dev',
  '/usr/include/stdio.h': 'libc6-dev',
  // The failing disk of the crash tests.
  '/usr/include/fuse3/fuse.h': 'libfuse3-dev pkg-config',
}

/** @param {string} command */
const isOnPath = (command) =>
  (process.env.PATH ?? '').split(delimiter).some((dir) => existsSync(join(dir, command)))

/** Names of Debian packages whose commands or files are missing here. */
function missingPackages() {
  const missing = [
    ...Object.entries(COMMANDS).filter(([command]) => !isOnPath(command)),
    ...Object.entries(FILES).filter(([file]) => !existsSync(file)),
  ]
  return missing.flatMap(([, names]) => names.split(' '))
}

/** @param {readonly string[]} args */
function aptGet(...args) {
  const { status } = spawnSync('apt-get', ['-qq', ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
  return status === 0
}

/** @param {readonly string[]} packages */
const install = (packages) => aptGet('install', '-y', '--no-install-recommends', ...packages)

function main() {
  const missing = missingPackages()
  if (missing.length === 0) return
  if (!existsSync('/etc/debian_version') || process.getuid?.() !== 0) {
    console.log(`missing, and only installed as root on Debian or Ubuntu: ${missing.join(' ')}`)
    return
  }
  console.log(`installing ${missing.join(' ')}`)
  aptGet('update')
  // If the release lacks a package, apt installs none of them: install each alone. Tests that need the missing packages are skipped.
  if (!install(missing)) for (const name of missing) install([name])
}

main()
