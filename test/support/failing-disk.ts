// A file system on a disk that fails writes on request: a FUSE file, a loop device over it, a file system on that.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { end, sleep } from './process.ts'
import { repoRoot } from './root.ts'

export type FileSystemKind = 'ext4' | 'xfs' | 'btrfs'

/** The size of the disk in bytes, enough for the smallest XFS and Btrfs. */
const BYTES: Record<FileSystemKind, number> = { ext4: 128 << 20, xfs: 320 << 20, btrfs: 320 << 20 }
const MAKE: Record<FileSystemKind, string[]> = { ext4: ['-q', '-F'], xfs: ['-q', '-f'], btrfs: ['-q', '-f'] }

/** The base64 of 0xFF bytes contains this text at any offset in an entry. No structure of a file system contains it. */
const DATA_THAT_FAILS = '/'.repeat(64)
/** A payload that the disk fails to write; longer than a page, so that a later append does not rewrite all of it. */
export const payloadThatFails: Uint8Array<ArrayBuffer> = new Uint8Array(20_000).fill(0xff)

const does = (command: string, args: readonly string[]): boolean => spawnSync(command, args).status === 0

/** The reason why no such disk is possible here; empty if it is possible. */
export function whyNoDisk(kind: FileSystemKind): string {
  if (process.getuid?.() !== 0) return ' (skipped: not root)'
  if (!existsSync('/dev/fuse')) return ' (skipped: no /dev/fuse)'
  if (!existsSync('/dev/loop-control')) return ' (skipped: no loop devices)'
  if (!does('pkg-config', ['--exists', 'fuse3'])) return ' (skipped: no libfuse3-dev)'
  if (spawnSync(`mkfs.${kind}`, ['-V']).error !== undefined) return ` (skipped: no mkfs.${kind})`
  return ''
}

/** A mounted file system on a disk whose writes of certain data can be made to fail. */
export class FailingDisk {
  /** The mount point. */
  readonly at: string
  readonly #dir: string
  readonly #server: ChildProcess
  #device = ''
  readonly #kind: FileSystemKind

  private constructor(kind: FileSystemKind, dir: string, server: ChildProcess) {
    this.#kind = kind
    this.#dir = dir
    this.#server = server
    this.at = join(dir, 'files')
  }

  /** `more`: how many bytes the disk has beyond those that a short test needs. */
  static async make(kind: FileSystemKind, more = 0): Promise<FailingDisk> {
    const dir = mkdtempSync(join(tmpdir(), 'service-fs-disk-'))
    for (const name of ['fuse', 'files']) mkdirSync(join(dir, name))
    writeFileSync(join(dir, 'image'), '')
    truncateSync(join(dir, 'image'), BYTES[kind] + more)
    must(`mkfs.${kind}`, [...MAKE[kind], join(dir, 'image')])
    const program = join(dir, 'failing-disk')
    const flags = pkgConfig()
    must('cc', ['-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64', '-O1', '-o', program, source(), ...flags])
    const server = spawn(program, [join(dir, 'image'), join(dir, 'fuse')], { stdio: 'inherit' })
    const disk = new FailingDisk(kind, dir, server)
    try {
      for (let tries = 0; !existsSync(disk.#file('disk')); tries++) {
        if (tries === 100) throw new Error('the FUSE file system did not come up within 5 s')
        await sleep(50)
      }
      disk.#device = must('losetup', ['-f', '--show', disk.#file('disk')]).trim()
      disk.mount()
    } catch (error) {
      await disk.dispose()
      throw error
    }
    return disk
  }

  /** Fails every write that contains this text; by default, that of payloadThatFails. */
  fail(text: string = DATA_THAT_FAILS): void {
    writeFileSync(this.#file('fail'), text)
  }

  /** Lets every write succeed again. */
  heal(): void {
    writeFileSync(this.#file('fail'), '')
  }

  mount(): void {
    must('mount', ['-t', this.#kind, this.#device, this.at])
  }

  /** Simulates a machine restart: drops the page cache, so only bytes on the medium remain. */
  restartMachine(): void {
    must('umount', [this.at])
    must('blockdev', ['--flushbufs', this.#device])
    this.mount()
  }

  async dispose(): Promise<void> {
    await unmount(this.at)
    if (this.#device !== '') spawnSync('losetup', ['-d', this.#device])
    await unmount(join(this.#dir, 'fuse'))
    await end(this.#server, 'SIGTERM')
    rmSync(this.#dir, { recursive: true, force: true })
  }

  #file(name: string): string {
    return join(this.#dir, 'fuse', name)
  }
}

/** A process may still have it open briefly. */
async function unmount(path: string): Promise<void> {
  for (let tries = 0; does('mountpoint', ['-q', path]) && tries < 50; tries++) {
    if (!does('umount', [path])) await sleep(100)
  }
}

const source = (): string => join(repoRoot, 'test/crash/failing-disk.c')

function pkgConfig(): string[] {
  return must('pkg-config', ['--cflags', '--libs', 'fuse3']).trim().split(/\s+/)
}

/** Runs a command to its end; returns its output. */
function must(command: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 300_000 })
  if (status === 0) return stdout
  throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr}`)
}
