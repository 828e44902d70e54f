/** The newest state of a tree, with its signed checkpoint. */
import { formatCheckpointText } from '@service-fs/tlog/checkpoint'
import type { Edge } from '@service-fs/tlog/edge'
import type { Hash } from '@service-fs/tlog/hash'
import type { Signer } from '@service-fs/tlog/note'
import type { Runtime } from './runtime.ts'

export interface Head {
  /** Entries in the tree. */
  size: number
  root: Hash
  /** The checkpoint of this size and root as a signed note (c2sp.org/tlog-checkpoint). */
  note: string
}

/** Signs the checkpoint of the tree with this right edge, whose root hash the caller may know. @throws the signer's error */
export async function signHead(
  { origin, signer, runtime }: { origin: string; signer: Signer; runtime: Runtime },
  edge: Edge,
  root: Hash = edge.root(runtime.hasher),
): Promise<Head> {
  const { size } = edge
  const text = formatCheckpointText({ origin, size, root, extensions: [] })
  return { size, root, note: `${text}\n${await signer.sign(text)}` }
}
