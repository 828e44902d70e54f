import { open, unlink, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { codeOf, messageOf } from '@service-fs/format/errors'
import { ClientError } from '@service-fs/client/errors'
import { syncDirectory } from './output.ts'

/**
 * Durably creates a file of mode 0600 with the content that `fill` writes. Never overwrites a file. Removes the new file if an
 * operation fails.
 * @throws ClientError `file`
 */
export async function createSecretFile(
  path: string,
  fill: (file: FileHandle) => Promise<void>,
): Promise<void> {
  try {
    const file = await open(path, 'wx', 0o600)
    try {
      await fill(file)
      await file.sync()
      await syncDirectory(dirname(path))
    } catch (error) {
      await unlink(path)
      throw error
    } finally {
      await file.close()
    }
  } catch (error) {
    const text =
      codeOf(error) === 'EEXIST' ? `${path}: the file exists and is not overwritten` : messageOf(error)
    throw new ClientError('file', text)
  }
}
