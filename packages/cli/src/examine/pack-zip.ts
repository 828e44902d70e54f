/** Writes an examiner's pack as a zip archive. */
import { mkdir, open } from 'node:fs/promises'
import { Collected } from '@service-fs/client/examine/collected'
import { ZipOutput } from '@service-fs/client/examine/zip-output'
import { besideOf, moveFile, removeBeside } from '../output.ts'
import type { PackWriter } from './pack-directory.ts'
import { asFileError } from '@service-fs/client/errors'

/** Opens a pack that becomes the archive `place`. @throws ClientError `file` when `place` exists */
export async function packZip(place: string, made: Date): Promise<PackWriter> {
  const beside = await besideOf(place)
  const folder = `${beside}.d`
  const handle = await asFileError(() => open(beside, 'wx', 0o600))
  let isOpen = true
  const collected = new Collected((bytes) => asFileError(() => handle.writeFile(bytes)))
  const close = async (): Promise<void> => {
    if (isOpen) await handle.close()
    isOpen = false
  }
  const zip = new ZipOutput((bytes) => collected.add(bytes), folder, made)
  const discard = async (): Promise<void> => {
    await zip.close()
    await close()
    await removeBeside(beside)
  }
  try {
    await asFileError(() => mkdir(folder, { mode: 0o700 }))
  } catch (error) {
    await discard()
    throw error
  }
  return {
    folder,
    put: (path, bytes) => zip.put(path, bytes),
    open: (path) => zip.open(path),
    discard,
    async finish() {
      await zip.end()
      await collected.flush()
      await asFileError(async () => {
        await handle.chmod(0o444)
        await handle.sync()
        await close()
      })
      await moveFile(beside, place)
      return { files: zip.files, bytes: zip.bytes }
    },
  }
}
