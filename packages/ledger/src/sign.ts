import { formatCheckpointText } from '@service-fs/tlog/checkpoint'
import type { Edge } from '@service-fs/tlog/edge'
import type { Signer } from '@service-fs/tlog/note'
import type { Runtime } from './runtime.ts'
import type { Head } from './sequencer.ts'

/** Signs the checkpoint of the tree with this right edge. @throws what the signer throws */
export async function signHead(
  { origin, signer, runtime }: { origin: string; signer: Signer; runtime: Runtime },
  edge: Edge,
): Promise<Head> {
  const { size } = edge
  const root = edge.root(runtime.hasher)
  const text = formatCheckpointText({ origin, size, root, extensions: [] })
  return { size, root, note: `${text}\n${await signer.sign(text)}` }
}
