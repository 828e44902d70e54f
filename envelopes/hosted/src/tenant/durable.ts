/** Files of the daemon's own that are there whole and durable, or not at all. */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { open, rename, unlink } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

/** Makes the names in a directory durable. */
export async function syncDir(path: string): Promise<void> {
  const dir = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await dir.sync()
  } finally {
    await dir.close()
  }
}

/** Puts a file of mode 0600 there, instead of the one that may be there. It is `owner`'s, without one this process's. */
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
