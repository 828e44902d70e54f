/** Reads files whose mode must not expose them. */
import { open, type FileHandle } from 'node:fs/promises'
import { HostedError } from '@service-fs/http/errors'

/** The maximum size of a file in bytes. */
const MAX_BYTES = 16 * 2 ** 20

/** The mode bits that are forbidden for a secret of the owner, for a secret shared with the group, and for a public file. */
const FORBIDDEN = { owner: 0o077, group: 0o027, public: 0o022 }

/** Returns the text of a file. @throws HostedError `access`: the file is missing, not a regular file, too large, or exposed by its mode */
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
          ? 'that only its owner can read'
          : who === 'group'
            ? 'that only its owner and group can read'
            : 'that only its owner can write'
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
