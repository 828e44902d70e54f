/**
 * The second step of opening for appends: it makes durable, by writes and syncs of this process, what recover() found.
 *
 * A kernel whose write to the disk failed tells that to the process that syncs, once. It then keeps the pages readable and takes
 * them for written: the next process reads them, and its syncs succeed without writing them. So a sync of what another process wrote proves nothing,
 * and what nobody has written anew may be gone after the next power cut.
 */
import { readmeText } from '@service-fs/format/readme'
import { Edge } from '@service-fs/tlog/edge'
import { codeOf } from '@service-fs/format/errors'
import { LedgerError } from './errors.ts'
import { LOG_VKEY, type Identity, type Recovered, type RecoveredTail } from './recover.ts'
import { signHead, type Head } from './head.ts'
import { TailWriter } from './tail-writer.ts'

export interface Settled extends Recovered {
  /** What `checkpoint` holds, durably. */
  published: string
  /** Goes on behind the tail. */
  writer: TailWriter
}

/**
 * Writes the tail and `checkpoint` anew, or makes an empty ledger where there is none.
 * @throws StorageError; the ledger is as it was then, or as it is afterwards
 */
export async function settle(identity: Identity, recovered: Recovered): Promise<Settled> {
  const { storage, runtime } = identity
  const { tail } = recovered
  const writer = new TailWriter(identity, tail?.edge.size, tail?.bytes ?? 0)
  if (recovered.published === undefined) {
    const note = await initialize(identity)
    return { ...recovered, head: { ...recovered.head, note }, published: note, writer }
  }
  // A storage that keeps each commit as a file of its own has written them itself.
  if (storage.tailMode === 'each') return { ...recovered, published: recovered.published, writer }
  if (tail !== undefined) await settleTail(storage.keepsTail === true, recovered, tail, writer)
  await storage.publish(runtime.codec.utf8Encode(recovered.head.note))
  return { ...recovered, published: recovered.head.note, writer }
}

/**
 * Begins a tail file with what is not sealed; where the newest begins behind that, or nothing is behind it, one of the name of the
 * newest. Where that may not be replaced, one with its last commit: all before that was durable when that was written.
 */
async function settleTail(
  keepsTail: boolean,
  { head, sealedEdge, memory }: Recovered,
  tail: RecoveredTail,
  writer: TailWriter,
): Promise<void> {
  const begin = (edge: Edge): Promise<void> =>
    writer.reopen(edge, linesFrom(edge.size, head, memory), head.note)
  if (sealedEdge.size >= tail.edge.size + (keepsTail ? 1 : 0) && sealedEdge.size < head.size)
    return begin(sealedEdge)
  if (!keepsTail) return begin(tail.edge)
  if (tail.isTorn) return writer.leave()
  try {
    await begin(tail.lastCommit)
  } catch (error) {
    // It has this one commit, and is protected: it was durable before it was.
    if (codeOf(error) !== 'conflict' || tail.lastCommit.size > tail.edge.size) throw error
  }
}

function linesFrom(start: number, head: Head, memory: Recovered['memory']): string[] {
  const lines = memory.lines(start, head.size)
  if (lines === undefined) throw new LedgerError('stopped', `entries from ${start} on are not in the tail`)
  return lines
}

/** Makes an empty ledger; returns its signed checkpoint. */
async function initialize(identity: Identity): Promise<string> {
  const { storage, origin, signer, runtime } = identity
  await storage.seal({ kind: 'readme' }, runtime.codec.utf8Encode(readmeText(origin)))
  await storage.seal({ kind: 'origin' }, runtime.codec.utf8Encode(origin + '\n'))
  await storage.seal(LOG_VKEY, runtime.codec.utf8Encode(signer.vkey + '\n'))
  const { note } = await signHead(identity, new Edge())
  await storage.publish(runtime.codec.utf8Encode(note))
  return note
}
