/** The background check of the second trees in a ledger directory. It needs no key, so it also covers a tree that is not continued. */
import { join } from 'node:path'
import { treeOrigin } from '@service-fs/format/tree-binding'
import { TreeCheck } from '@service-fs/ledger/scrub/tree-check'
import { nativeCodec, nativeCrypto } from '@service-fs/native/native'
import { nodeRuntime } from '@service-fs/native/runtime'
import { StorageError } from '@service-fs/storage/errors'
import type { ReadableName } from '@service-fs/storage/object-name'
import { readFromDisk } from '@service-fs/storage-posix/disk-reader'
import { openCheckpoint } from '@service-fs/tlog/checkpoint'
import { TlogError } from '@service-fs/tlog/errors'
import { rootForm, type TreeHash } from '@service-fs/tlog/hash-tree'
import { verifierFromVkey } from '@service-fs/tlog/keys'
import { isLeftOut, treeFolders } from './tree-folders.ts'

/** Returns the checks of the second trees that the ledger in `dir` has now. `origin`: the origin of the ledger. */
export async function treeChecks(dir: string, origin: string): Promise<TreeCheck[]> {
  const checks: TreeCheck[] = []
  for (const algorithm of await treeFolders(dir)) {
    const folder = join(dir, algorithm)
    // An unreadable folder of one tree must not end the check of the log.
    if (await isLeftOut(folder).catch(() => false)) continue
    // Load these hashes on first use, because most tenants never need them.
    const { treeDigests } = await import('@service-fs/native/tree-digests')
    const hash = treeDigests[algorithm]
    checks.push(
      new TreeCheck({
        algorithm,
        hash,
        size: await signedSize(folder, treeOrigin(origin, algorithm), hash),
        read: (name, pause) => readFromDisk(folder, name, pause, hash.bytes),
        runtime: nodeRuntime,
      }),
    )
  }
  return checks
}

const noPause = (): Promise<void> => Promise.resolve()

/** Returns the text of a file; undefined when the file is missing or damaged. @throws the system's error for a temporary one */
async function readText(folder: string, name: ReadableName): Promise<string | undefined> {
  try {
    const bytes = await readFromDisk(folder, name, noPause)
    return bytes && nativeCodec.utf8Decode(bytes)
  } catch (error) {
    if (error instanceof StorageError || error instanceof TlogError) return undefined
    throw error
  }
}

/** Returns the size in a tree's checkpoint; 0 unless the tree's key has signed the checkpoint. */
async function signedSize(folder: string, origin: string, hash: TreeHash): Promise<number> {
  const [vkey, note] = await Promise.all([
    readText(folder, { kind: 'vkey', name: 'ed25519' }),
    readText(folder, { kind: 'checkpoint' }),
  ])
  if (vkey === undefined || note === undefined) return 0
  try {
    const verifier = verifierFromVkey(vkey.trimEnd(), nativeCrypto)
    return openCheckpoint(note, [verifier], origin, rootForm(hash)).checkpoint.size
  } catch (error) {
    if (error instanceof TlogError) return 0
    throw error
  }
}
