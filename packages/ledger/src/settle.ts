/**
 * The second step of opening for appends: makes the recovered data durable by writing and syncing it in this process.
 *
 * When a kernel fails to write pages to the disk, it reports the error once, to the process that calls fsync. It then keeps the
 * pages readable and marks them clean: the next process reads them, and its syncs succeed without writing them. So a sync of data
 * that another process wrote proves nothing: until it is written again, the next power cut may lose it.
 */
import { readmeText } from '@service-fs/format/readme'
import { VERIFY_SH } from '@service-fs/format/verify-shell'
import { Edge } from '@service-fs/tlog/edge'
import { codeOf } from '@service-fs/format/errors'
import { LedgerError } from './errors.ts'
import { LOG_VKEY, type Identity, type Recovered, type RecoveredTail } from './recover.ts'
import { signHead, type Head } from './head.ts'
import { TailWriter } from './tail-writer.ts'

export interface Settled extends Recovered {
  /** The published checkpoint, durable. */
  published: string
  /** Appends to the tail. */
  writer: TailWriter
}

/**
 * Writes the tail and the checkpoint again, or creates an empty ledger where there is none.
 * @throws StorageError; each file is then either unchanged or durable
 */
export async function settle(identity: Identity, recovered: Recovered): Promise<Settled> {
  const { storage, runtime } = identity
  const { tail } = recovered
  const writer = new TailWriter(identity, tail?.edge.size, tail?.bytes ?? 0)
  if (recovered.published === undefined) {
    const note = await initialize(identity)
    return { ...recovered, head: { ...recovered.head, note }, published: note, writer }
  }
  // In 'each' mode the storage has already made the tail and the checkpoint durable.
  if (storage.tailMode === 'each') return { ...recovered, published: recovered.published, writer }
  if (tail !== undefined) await settleTail(storage.keepsTail === true, recovered, tail, writer)
  await storage.publish(runtime.codec.utf8Encode(recovered.head.note))
  return { ...recovered, published: recovered.head.note, writer }
}

/**
 * Begins a tail file with the entries that are not sealed. When the newest file begins after the sealed entries, or all entries are
 * sealed, replaces the newest file instead. If that file cannot be replaced, begins a file with its last commit: everything before
 * that commit was durable when the commit was written.
 */
async function settleTail(
  keepsTail: boolean,
  { head, sealedEdge, memory }: Recovered,
  tail: RecoveredTail,
  writer: TailWriter,
): Promise<void> {
  const begin = (edge: Edge): Promise<void> => writer.reopen(edge, textFrom(edge.size, head, memory), head)
  if (sealedEdge.size >= tail.edge.size + (keepsTail ? 1 : 0) && sealedEdge.size < head.size)
    return begin(sealedEdge)
  if (!keepsTail) return begin(tail.edge)
  if (tail.isTorn) return writer.leave()
  try {
    await begin(tail.lastCommit)
  } catch (error) {
    // The file has only this commit and is protected, so it is durable.
    if (codeOf(error) !== 'conflict' || tail.lastCommit.size > tail.edge.size) throw error
  }
}

function textFrom(start: number, head: Head, memory: Recovered['memory']): Uint8Array {
  const text = memory.text(start, head.size)
  if (text === undefined) throw new LedgerError('stopped', `the tail lacks the entries from ${start} on`)
  return text
}

/** Creates an empty ledger; returns its signed checkpoint. */
async function initialize(identity: Identity): Promise<string> {
  const { storage, origin, signer, runtime } = identity
  await storage.seal({ kind: 'readme' }, runtime.codec.utf8Encode(readmeText(origin)))
  await storage.seal({ kind: 'verifier' }, runtime.codec.utf8Encode(VERIFY_SH))
  await storage.seal({ kind: 'origin' }, runtime.codec.utf8Encode(origin + '\n'))
  await storage.seal(LOG_VKEY, runtime.codec.utf8Encode(signer.vkey + '\n'))
  const { note } = await signHead(identity, new Edge())
  await storage.publish(runtime.codec.utf8Encode(note))
  return note
}
