/** The folders of second trees in a ledger directory. */
import { access, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '@service-fs/format/errors'
import { isTreeAlgorithm, type TreeAlgorithm } from '@service-fs/format/tree-binding'

/** The file in a tree's folder that says that this copy of the ledger leaves out the tree. */
export const LEFT_OUT = 'left-out.txt'

/** Returns the algorithms whose folders exist in a ledger directory. */
export async function treeFolders(dir: string): Promise<TreeAlgorithm[]> {
  const entries = await readdir(dir, { withFileTypes: true })
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .filter(isTreeAlgorithm)
}

/** Reports whether this copy of the ledger leaves out the tree of a folder. */
export function isLeftOut(folder: string): Promise<boolean> {
  return exists(join(folder, LEFT_OUT))
}

export async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  }
}
