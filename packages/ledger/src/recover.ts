/**
 * The first step of opening: reads the ledger's identity, the checkpoint, and the end of the tail, so the cost does not grow with
 * the ledger. It changes nothing. The second step, settle.ts, makes the recovered data durable.
 */
import { readTail, type TailContent, type TailReadOptions } from '@service-fs/format/tail-read'
import type { StorageCapability } from '@service-fs/storage/capability'
import { formatObjectName, type ReadableName, type SealedName } from '@service-fs/storage/object-name'
import { openCheckpoint, type Checkpoint } from '@service-fs/tlog/checkpoint'
import { Edge } from '@service-fs/tlog/edge'
import { EMPTY_ROOT } from '@service-fs/tlog/hash'
import type { Signer, Verifier } from '@service-fs/tlog/note'
import { codeOf, messageOf } from '@service-fs/format/errors'
import { LedgerError, unreadable } from './errors.ts'
import type { Runtime } from './runtime.ts'
import type { Head } from './head.ts'
import { TailMemory } from './tail-memory.ts'

export interface Recovered {
  head: Head
  /** The right edge at the head. */
  edge: Edge
  /** The right edge at the end of the sealed entries, a multiple of 256. */
  sealedEdge: Edge
  memory: TailMemory
  /** The newest tail file; undefined without entries. */
  tail: RecoveredTail | undefined
  /** The published checkpoint; undefined when there is no ledger yet, and `head` then has no signed checkpoint. */
  published: string | undefined
}

export interface RecoveredTail {
  /** The right edge at its first entry. */
  edge: Edge
  /** Its length in bytes, up to the end of the last whole commit. */
  bytes: number
  /** Whether it ends with fill or a torn commit. */
  isTorn: boolean
  /** The right edge at the first entry of its last commit; the entries from there on may not be durable. */
  lastCommit: Edge
}

export interface Identity {
  storage: StorageCapability
  origin: string
  signer: Signer
  verifiers: Verifier[]
  runtime: Runtime
}

/** The name of the verifier key for the log's own signatures. */
export const LOG_VKEY: SealedName = { kind: 'vkey', name: 'ed25519' }

/**
 * Reads the newest state in the storage, and changes nothing. A power cut may still lose that state. Until settle() has made it
 * durable, do not show it to a client or append to it.
 * @throws LedgerError `corrupt`, naming the file, what was expected and what was found
 */
export async function recover(identity: Identity): Promise<Recovered> {
  const published = await readText(identity, { kind: 'checkpoint' })
  const tail = await readTailOf(identity)
  if (published === undefined) {
    await expectNothing(identity, tail)
    return empty(undefined, identity.runtime)
  }
  await checkIdentity(identity)
  const checkpoint = openPublished(identity, published)
  if (tail === undefined) {
    if (checkpoint.size > 0)
      throw new LedgerError(
        'corrupt',
        `tail: expected a tail with the newest of ${checkpoint.size} entries, found none`,
      )
    return empty(published, identity.runtime)
  }
  checkCovered(checkpoint, tail, identity.runtime)
  const sealedEdge = sealedEdgeOf(tail, identity.runtime)
  const lastCommit = edgeAt(tail, tail.newestCommit, identity.runtime)
  return {
    head: { size: tail.checkpoint.size, root: tail.checkpoint.root, note: tail.note },
    edge: tail.edge,
    sealedEdge,
    memory: new TailMemory(identity.runtime.codec, tail.start, tail.lines, tail.leaves),
    tail: { edge: tail.newest.edge, bytes: tail.end, isTorn: tail.rest !== 'none', lastCommit },
    published,
  }
}

/** Returns an object as text; undefined when there is none. @throws LedgerError `corrupt` when it is not UTF-8 */
export async function readText(identity: Identity, name: ReadableName): Promise<string | undefined> {
  const bytes = await identity.storage.read(name)
  if (bytes === undefined) return undefined
  try {
    return identity.runtime.codec.utf8Decode(bytes)
  } catch (error) {
    throw unreadable(formatObjectName(name), error)
  }
}

/** Reads the whole commits of the tail; undefined when there is no tail. `how`: see TailReadOptions. */
export async function readTailOf(
  { storage, origin, verifiers, runtime }: Identity,
  how: Pick<TailReadOptions, 'commit' | 'damaged'> = {},
): Promise<TailContent | undefined> {
  const { hasher, codec } = runtime
  try {
    return await readTail(storage.tail(), { origin, verifiers, hasher, codec, ...how })
  } catch (error) {
    if (codeOf(error) === 'corrupt') throw new LedgerError('corrupt', messageOf(error), { cause: error })
    throw error
  }
}

/** Checks the stored origin and verifier key. @throws LedgerError `corrupt` */
export async function checkIdentity(identity: Identity): Promise<void> {
  await expectText(identity, { kind: 'origin' }, identity.origin + '\n')
  await expectText(identity, LOG_VKEY, identity.signer.vkey + '\n')
}

async function expectText(identity: Identity, name: SealedName, expected: string): Promise<void> {
  const found = await readText(identity, name)
  if (found === expected) return
  const shown = found === undefined ? 'no such file' : JSON.stringify(found.slice(0, 200))
  const path = formatObjectName(name)
  throw new LedgerError('corrupt', `${path}: expected ${JSON.stringify(expected)}, found ${shown}`)
}

/** Verifies the published checkpoint. @throws LedgerError `corrupt` */
export function openPublished({ verifiers, origin }: Identity, published: string): Checkpoint {
  try {
    return openCheckpoint(published, verifiers, origin).checkpoint
  } catch (error) {
    throw unreadable('checkpoint', error)
  }
}

/** Checks that the tree of the tail contains the tree of the checkpoint. @throws LedgerError `corrupt` */
export function checkCovered(checkpoint: Checkpoint, tail: TailContent, runtime: Runtime): void {
  const { size } = tail.checkpoint
  const torn = tail.rest === 'torn' ? ', then a torn commit' : ''
  if (checkpoint.size > size) {
    throw new LedgerError(
      'corrupt',
      `tail: expected the ${checkpoint.size} entries that the checkpoint covers, found whole commits up to entry ${size}${torn}`,
    )
  }
  if (checkpoint.size < tail.start) return
  const root = edgeAt(tail, checkpoint.size, runtime).root(runtime.hasher)
  if (root !== checkpoint.root) {
    throw new LedgerError(
      'corrupt',
      `checkpoint: expected the tail's root hash at size ${checkpoint.size}, ${root}, found ${checkpoint.root}`,
    )
  }
}

/** Returns the right edge at `size`, which is in the tail. */
function edgeAt(tail: TailContent, size: number, runtime: Runtime): Edge {
  const edge = tail.edgeAtStart.clone()
  for (const leaf of tail.leaves.slice(0, size - tail.start)) edge.append(leaf, runtime.hasher)
  return edge
}

/**
 * Returns the right edge at the first multiple of 256 in the tail. Every entry before it is sealed: a tail starts at or before the end of
 * the sealed entries.
 */
export function sealedEdgeOf(tail: TailContent, runtime: Runtime): Edge {
  const sealed = Math.ceil(tail.start / 256) * 256
  const edge = edgeAt(tail, sealed, runtime)
  if (edge.size !== sealed)
    throw new LedgerError('corrupt', `tail: expected entries up to ${sealed}, found ${edge.size}`)
  return edge
}

/** Checks that a storage without a checkpoint has no entries. @throws LedgerError `corrupt` */
async function expectNothing({ storage }: Identity, tail: TailContent | undefined): Promise<void> {
  if (tail === undefined && (await storage.read({ kind: 'bundle', index: 0 })) === undefined) return
  throw new LedgerError('corrupt', 'checkpoint: expected a signed checkpoint beside the entries, found none')
}

function empty(published: string | undefined, { codec }: Runtime): Recovered {
  return {
    head: { size: 0, root: EMPTY_ROOT, note: published ?? '' },
    edge: new Edge(),
    sealedEdge: new Edge(),
    memory: new TailMemory(codec, 0),
    tail: undefined,
    published,
  }
}
