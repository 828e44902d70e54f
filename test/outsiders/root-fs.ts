// A root file system that holds a shell, coreutils, sed, awk and openssl, and nothing else: the tools of an outsider.
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'

/** The programs of coreutils that a small system has. */
const COREUTILS =
  'base64 basename cat chmod cp cut date dd dirname echo env expr fold head id ln ls mkdir mktemp mv od paste printf pwd rm rmdir ' +
  'seq sha256sum sleep sort split stat tail tee test touch tr true uniq wc'

export type ShellKind = 'dash' | 'busybox'

export interface Said {
  status: number | null
  stdout: string
  stderr: string
}

export interface RootFs {
  /** Runs `sh verify.sh ARGS` on a copy of a ledger at /ledger, or on a copy of another directory. */
  verify(ledger: string, ...args: string[]): Said
  /** Runs a shell command. */
  sh(command: string): Said
  /** Copies a directory or a file to a path of the root file system. */
  put(from: string, to: string): void
  dispose(): void
}

/** Returns why no such root file system can be made here; undefined if it can. */
export function whyNoRoot(kind: ShellKind): string | undefined {
  if (process.getuid?.() !== 0) return 'not root, which chroot needs'
  const wanted = kind === 'dash' ? ['dash', 'sed', 'awk', 'openssl', 'sha256sum'] : ['busybox', 'openssl']
  const missing = ['chroot', 'mknod', 'ldd', ...wanted].filter((name) => which(name) === undefined)
  if (missing.length > 0) return `no ${missing.join(', ')}`
  const tried = spawnSync('chroot', ['/', 'true'])
  return tried.status === 0 ? undefined : 'chroot is not permitted'
}

/** Makes one. With busybox, all programs but openssl are busybox's. */
export function makeRoot(kind: ShellKind): RootFs {
  const root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'service-fs-root-'))
  for (const folder of ['bin', 'dev', 'tmp']) mkdirSync(join(root, folder))
  chmodSync(join(root, 'tmp'), 0o1777)
  for (const [name, minor] of [
    ['null', '3'],
    ['urandom', '9'],
  ] as const)
    run('mknod', ['-m', '666', join(root, 'dev', name), 'c', '1', minor])
  install(root, 'openssl')
  if (kind === 'busybox') {
    install(root, 'busybox')
    for (const name of ['sh', 'sed', 'awk', ...COREUTILS.split(' ')])
      symlinkSync('busybox', join(root, 'bin', name))
  } else {
    for (const name of ['dash', 'sed', 'awk', ...COREUTILS.split(' ')])
      if (which(name) !== undefined) install(root, name)
    symlinkSync('dash', join(root, 'bin/sh'))
  }
  const sh = (command: string): Said => {
    const { status, stdout, stderr } = spawnSync(
      which('chroot') ?? 'chroot',
      [root, '/bin/sh', '-c', command],
      {
        encoding: 'utf8',
        env: { PATH: '/bin', HOME: '/' },
        maxBuffer: 1 << 28,
      },
    )
    return { status, stdout, stderr }
  }
  const put = (from: string, to: string): void => {
    rmSync(join(root, to), { recursive: true, force: true })
    cpSync(from, join(root, to), { recursive: true })
  }
  return {
    sh,
    put,
    verify(ledger, ...args) {
      put(ledger, 'ledger')
      const said = sh(`sh /ledger/verify.sh ${args.map((arg) => `'${arg}'`).join(' ')}`)
      // The script leaves nothing behind.
      const left = readdirSync(join(root, 'tmp'))
      return left.length === 0
        ? said
        : { ...said, status: -1, stderr: `left in /tmp: ${left.join(' ')}\n${said.stderr}` }
    },
    dispose: () => rmSync(root, { recursive: true, force: true }),
  }
}

/** Returns the path of a program; undefined if this machine lacks it. */
export function which(name: string): string | undefined {
  return [...(process.env['PATH'] ?? '').split(delimiter), '/bin', '/usr/bin', '/usr/sbin']
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path))
}

/** Copies a program and the libraries that it is linked with. */
function install(root: string, name: string): void {
  const path = which(name)
  if (path === undefined) throw new Error(`no ${name}`)
  copyFileSync(realpathSync(path), join(root, 'bin', name))
  chmodSync(join(root, 'bin', name), 0o755)
  const { stdout } = spawnSync('ldd', [path], { encoding: 'utf8' })
  for (const [library] of stdout.matchAll(/\/\S+/g)) {
    if (!library.includes('.so') || existsSync(join(root, library))) continue
    mkdirSync(join(root, dirname(library)), { recursive: true })
    copyFileSync(realpathSync(library), join(root, library))
  }
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command}: ${stderr}`)
}
