/** Mounts file systems for tests, as root on Linux: ext4 on a loop device, tmpfs, and ramfs, which has no file attributes. */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type TestFileSystem = 'ext4' | 'tmpfs' | 'ramfs'

/** An empty file system. */
export interface TestMount {
  readonly path: string
  unmount(): void
}

const MEBIBYTE = 1024 * 1024

/** Mounts a file system. If that fails, returns the reason, as the suffix of a test's name. */
export function mountTest(type: TestFileSystem, mebibytes = 128): TestMount | string {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return ` (skipped: only root on Linux may mount ${type})`
  const dir = mkdtempSync(join(tmpdir(), `service-fs-${type}-`))
  const path = join(dir, 'mount')
  const remove = (): void => rmSync(dir, { recursive: true, force: true })
  try {
    // A test may run as another user.
    chmodSync(dir, 0o755)
    mkdirSync(path)
    if (type === 'ext4') mountImage(join(dir, 'image'), path, mebibytes)
    else quietly('mount', ['-t', type, '-o', type === 'tmpfs' ? `size=${mebibytes}m` : 'rw', type, path])
  } catch (error) {
    remove()
    return ` (skipped: ${type} cannot be mounted: ${error instanceof Error ? error.message.split('\n')[0] : 'failed'})`
  }
  let mounted = true
  const unmount = (): void => {
    if (!mounted) return
    mounted = false
    process.off('exit', unmount)
    quietly('umount', ['-l', path])
    remove()
  }
  process.once('exit', unmount)
  return { path, unmount }
}

function mountImage(image: string, path: string, mebibytes: number): void {
  writeFileSync(image, '')
  truncateSync(image, mebibytes * MEBIBYTE)
  quietly('mkfs.ext4', ['-q', '-F', image])
  quietly('mount', ['-o', 'loop', image, path])
}

function quietly(command: string, args: readonly string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'ignore'] })
}
