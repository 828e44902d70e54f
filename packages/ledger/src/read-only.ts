/**
 * Opening for reading only: writes nothing, and shows no entry that a power cut could still undo.
 *
 * A process that was killed, or whose sync failed, may have left commits in the page cache that the medium lacks. Opening for appends
 * writes them again, but opening for reading cannot. So it shows the tail only up to the newest commit that is known to be durable. This is
 * the commit of the published checkpoint, because a checkpoint is published only after its commit is durable, or a newer commit that the
 * caller knows to be durable.
 */
import type { TailContent } from '@service-fs/format/tail-read'
import type { Checkpoint } from '@service-fs/tlog/checkpoint'
import { Edge } from '@service-fs/tlog/edge'
import type { Hash } from '@service-fs/tlog/hash'
import { codeOf, messageOf } from '@service-fs/format/errors'
import { LedgerError } from './errors.ts'
import {
  checkCovered,
  checkIdentity,
  openPublished,
  readTailOf,
  readText,
  recover,
  sealedEdgeOf,
  type Identity,
  type Recovered,
} from './recover.ts'
import type { Head } from './head.ts'
import { TailMemory } from './tail-memory.ts'

export interface ReadOnlyOptions {
  /** The error that appends are rejected with: `read-only` or `full`. */
  why: LedgerError
  /** A size that the caller knows to be durable. Default 0. The published checkpoint's size always is. */
  known?: number
  /** Whether to show a damaged tail up to its last whole commit. Default false: a damaged tail is an error. */
  damaged?: boolean
}

export interface ReadOnly {
  found: Recovered & { published: string }
  why: LedgerError
  /** Whether `found` has every entry that may have been acknowledged. */
  isWhole: boolean
}

/**
 * Reads the storage up to the newest commit that is known to be durable, and changes nothing.
 * @throws LedgerError `not-found` when there is no ledger; `corrupt` when the ledger is damaged and `options.damaged` is false, or no
 *   commit is whole
 */
export async function recoverReadOnly(identity: Identity, options: ReadOnlyOptions): Promise<ReadOnly> {
  const damage = await damageOf(identity)
  if (damage !== undefined && (options.damaged !== true || damage.code === 'not-found')) throw damage
  const why = damage === undefined ? options.why : withDamage(options.why, damage)
  await checkIdentity(identity)
  const published = await readPublished(identity, damage)
  const heads: Head[] = []
  const tail = await readTailOf(identity, {
    commit: (note, { size, root }) => heads.push({ size, root, note }),
    ...(damage === undefined ? {} : { damaged: () => undefined }),
  })
  if (tail === undefined)
    return { found: emptyAs(published, damage, identity), why, isWhole: damage === undefined }
  if (published !== undefined && published.checkpoint.size <= tail.checkpoint.size)
    checkCovered(published.checkpoint, tail, identity.runtime)
  const known = Math.max(published?.checkpoint.size ?? 0, options.known ?? 0)
  const durable = heads.filter(({ size }) => size <= known || isSealedBefore(tail, size))
  if (published !== undefined && isIn(tail, published.checkpoint)) durable.push(headOf(published))
  const [head] = durable.sort((a, b) => b.size - a.size)
  if (head === undefined)
    throw (
      damage ??
      new LedgerError(
        'corrupt',
        `tail: expected a commit that ends within the ${known} entries known to be durable, found none`,
      )
    )
  return {
    found: upTo(head, tail, identity),
    why,
    isWhole: damage === undefined && head.size === tail.checkpoint.size,
  }
}

/** Adds the damage to the reason, without quoted content: it may come from a record, and every client may see the reason. */
function withDamage(why: LedgerError, damage: LedgerError): LedgerError {
  const words = damage.message.replace(/, found ".*/s, '')
  return new LedgerError(why.code, `${why.message}: ${words}`, { cause: damage })
}

/** Returns why the ledger cannot be opened for appends; undefined when it can. */
async function damageOf(identity: Identity): Promise<LedgerError | undefined> {
  try {
    const { published } = await recover(identity)
    return published === undefined ? new LedgerError('not-found', 'checkpoint: found no ledger') : undefined
  } catch (error) {
    if (error instanceof LedgerError && error.code === 'corrupt') return error
    if (codeOf(error) === 'corrupt') return new LedgerError('corrupt', messageOf(error), { cause: error })
    throw error
  }
}

interface Published {
  note: string
  checkpoint: Checkpoint
}

/** Returns the published checkpoint; undefined when it is damaged. */
async function readPublished(
  identity: Identity,
  damage: LedgerError | undefined,
): Promise<Published | undefined> {
  try {
    const note = await readText(identity, { kind: 'checkpoint' })
    return note === undefined ? undefined : { note, checkpoint: openPublished(identity, note) }
  } catch (error) {
    if (damage === undefined) throw error
    return undefined
  }
}

/** Reports whether the checkpoint's size lies within the tail. */
function isIn(tail: TailContent, { size }: Checkpoint): boolean {
  return size >= tail.start && size <= tail.checkpoint.size
}

/** Reports whether the tail begins at `size`, a bundle boundary: the file was begun after every entry before it was sealed durably. */
function isSealedBefore(tail: TailContent, size: number): boolean {
  return size === tail.start && size % 256 === 0
}

function headOf({ note, checkpoint: { size, root } }: Published): Head {
  return { size, root, note }
}

/** Returns the empty ledger. @throws LedgerError when the checkpoint covers entries, because there is no tail */
function emptyAs(
  published: Published | undefined,
  damage: LedgerError | undefined,
  { runtime }: Identity,
): ReadOnly['found'] {
  if (published?.checkpoint.size !== 0)
    throw damage ?? new LedgerError('corrupt', 'tail: expected the newest entries, found no tail')
  const edge = new Edge()
  return {
    head: headOf(published),
    edge,
    sealedEdge: edge,
    memory: new TailMemory(runtime.codec, 0),
    tail: undefined,
    published: published.note,
  }
}

/** Returns the tail as it was when `head` was its newest commit. */
function upTo(head: Head, tail: TailContent, { runtime }: Identity): ReadOnly['found'] {
  const count = head.size - tail.start
  const leaves = tail.leaves.slice(0, count)
  return {
    head,
    edge: grown(tail.edgeAtStart, leaves, runtime),
    sealedEdge: sealedEdgeOf(tail, runtime),
    memory: new TailMemory(runtime.codec, tail.start, tail.lines.slice(0, count), leaves),
    tail: undefined,
    published: head.note,
  }
}

function grown(start: Edge, leaves: readonly Hash[], { hasher }: Identity['runtime']): Edge {
  const edge = start.clone()
  for (const leaf of leaves) edge.append(leaf, hasher)
  return edge
}
