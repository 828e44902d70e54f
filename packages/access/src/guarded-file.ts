/** Files that only some may read. */
import { open, type FileHandle } from 'node:fs/promises'
import { HostedError } from '@service-fs/http/errors'

/** Larger files are none of these. */
const MAX_BYTES = 16 * 2 ** 20

/** Which mode bits a file may not have: of a secret for its owner, of one that a group shares, of one that everybody may read. */
const FORBIDDEN = { owner: 0o077, group: 0o027, public: 0o022 }

/** The text of a file. @throws HostedError `access`: not there, not a file, too large, or open to others than it may be */
export async function readGuarded(path: string, who: keyof typeof FORBIDDEN): Promise<string> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unreadable'
    throw new HostedError('access', `${path}: ${why}`, { cause: error })
  }
  try {
    const { mode, size } = await checkFile(path, file)
    if ((mode & FORBIDDEN[who]) !== 0) {
      const found = (mode & 0o777).toString(8).padStart(4, '0')
      const wanted =
        who === 'owner'
          ? 'for its owner only'
          : who === 'group'
            ? 'for its owner and group only'
            : 'for its owner only to write'
      throw new HostedError('access', `${path}: mode ${found}: expected a file ${wanted}`)
    }
    if (size > MAX_BYTES)
      throw new HostedError('access', `${path}: expected at most ${MAX_BYTES} bytes, found ${size}`)
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

async function checkFile(path: string, file: FileHandle): Promise<{ mode: number; size: number }> {
  const stats = await file.stat()
  if (!stats.isFile()) throw new HostedError('access', `${path}: expected a file`)
  return stats
}
