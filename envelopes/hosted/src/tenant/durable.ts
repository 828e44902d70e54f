/** Writes the daemon's own files atomically and durably. */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { open, rename, unlink } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

/** Makes changes of a directory's names durable. */
export async function syncDir(path: string): Promise<void> {
  const dir = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await dir.sync()
  } finally {
    await dir.close()
  }
}

/** Creates or replaces a file, with mode 0600 and owned by `owner`; default: this process's user. */
export async function replaceFile(
  path: string,
  text: string | Uint8Array,
  owner?: { uid: number; gid: number },
): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}`
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(text)
      const { uid, gid } = await file.stat()
      if (owner !== undefined && (owner.uid !== uid || owner.gid !== gid))
        await file.chown(owner.uid, owner.gid)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw error
  }
  await syncDir(dirname(resolve(path)))
}
