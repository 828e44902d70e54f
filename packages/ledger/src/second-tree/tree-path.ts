/** Paths of the sealed files of second trees, relative to the ledger directory: `sha3-256/tile/0/000.b64`. */
import { isTreeAlgorithm, type TreeAlgorithm } from '@service-fs/format/tree-binding'
import { StorageError } from '@service-fs/storage/errors'
import { formatObjectName, parseSealedName, type SealedName } from '@service-fs/storage/object-name'

/** A file that a second tree writes once: its origin, its key or a full hash tile. */
export type TreeFileName = Extract<SealedName, { kind: 'origin' | 'vkey' | 'tile' }>

export interface TreeFile {
  readonly algorithm: TreeAlgorithm
  readonly name: TreeFileName
}

/** Returns the algorithm whose folder the path names, and the path in this folder; undefined for a path outside the folders of trees. */
export function splitTreePath(path: string): { algorithm: TreeAlgorithm; rest: string } | undefined {
  const slash = path.indexOf('/')
  const algorithm = path.slice(0, Math.max(0, slash))
  return isTreeAlgorithm(algorithm) ? { algorithm, rest: path.slice(slash + 1) } : undefined
}

/** Parses the path of a file that a second tree writes once. @throws StorageError `path` */
export function parseTreePath(path: string): TreeFile {
  const parts = splitTreePath(path)
  if (parts !== undefined) {
    const name = parseSealedName(parts.rest)
    if (isTreeFileName(name)) return { algorithm: parts.algorithm, name }
  }
  const found = JSON.stringify(path.slice(0, 100))
  throw new StorageError('path', `${found}: expected the path of a second tree's origin, key or tile`)
}

/** The inverse of {@link parseTreePath}. */
export function formatTreePath({ algorithm, name }: TreeFile): string {
  return `${algorithm}/${formatObjectName(name)}`
}

/** A second tree has one key, and no bundles, README.txt or verify.sh. */
function isTreeFileName(name: SealedName): name is TreeFileName {
  return name.kind === 'origin' || name.kind === 'tile' || (name.kind === 'vkey' && name.name === 'ed25519')
}
