/** Finds the algorithms that a ledger uses, and the first entry that uses each of them. */
import { ahead } from '@service-fs/client/ahead'
import { ClientError } from '@service-fs/client/errors'
import { TrustedTree } from '@service-fs/client/tree'
import { Trust } from '@service-fs/client/trust'
import { parseEntry, type Entry } from '@service-fs/format/entry'
import { codeOf, messageOf } from '@service-fs/format/errors'
import {
  bindingIn,
  isBindingProblem,
  misplacedBinding,
  type TreeAlgorithm,
  type TreeBinding,
} from '@service-fs/format/tree-binding'
import { nativeCodec, nativeHasher } from '@service-fs/native/native'
import type { Hash } from '@service-fs/tlog/hash'
import { parseVkey } from '@service-fs/tlog/note'
import { TILE_WIDTH } from '@service-fs/tlog/tile'
import type { CopySource } from '../mirror/copy-source.ts'
import { SHA_256, signatureOf, TREE_HASHES, type AlgorithmFacts } from './standing.ts'

/** One use of an algorithm. */
export interface AlgorithmUse extends AlgorithmFacts {
  use: 'tree' | 'checkpoints' | 'split records' | 'second tree' | 'second tree checkpoints'
  /** The index of the first entry that uses the algorithm. For a second tree, the index of the entry that binds the tree. */
  since: number
  /** The size of the second tree that this entry binds. */
  covers?: number
}

export interface AlgorithmReport {
  place: string
  origin: string
  size: number
  root: Hash
  /** Describes the keys that the checkpoint was verified with. */
  trust: string
  algorithms: AlgorithmUse[]
  /** The audit sub-ledger. */
  audit?: AlgorithmReport
}

export interface UsesOptions {
  /** The pinned keys. If undefined, the keys that the ledger publishes are trusted. */
  trust: Trust | undefined
  withoutAudit: boolean
  progress: (entries: number, size: number) => void
}

/** Findings from the entries. */
interface Seen {
  /** The first entry of a split record. */
  split: number | undefined
  bindings: Map<TreeAlgorithm, { binding: TreeBinding; index: number }>
}

/** Reads all entries, and verifies them by the tree of the newest checkpoint. @throws ClientError `false` when an entry does not verify */
export async function algorithmsOf(source: CopySource, options: UsesOptions): Promise<AlgorithmReport> {
  const report = await usesOf(source, options)
  if (options.withoutAudit) return report
  const origin = `${report.origin}/audit`
  const trust = options.trust?.knows(origin) === true ? options.trust : undefined
  try {
    return { ...report, audit: await usesOf(source.audit(), { ...options, trust }, origin) }
  } catch (error) {
    const status = error instanceof ClientError ? error.status : undefined
    if (codeOf(error) === 'not-found' || [401, 403, 404].includes(status ?? 0)) return report
    throw error
  }
}

async function usesOf(
  source: CopySource,
  { trust: pinned, progress }: UsesOptions,
  expected?: string,
): Promise<AlgorithmReport> {
  const note = await source.log.checkpoint()
  const trust = pinned ?? Trust.shown(await source.vkeys(), `${source.place}: its own keys`)
  const { checkpoint } = trust.openPublished(note, expected)
  const { origin, size, root } = checkpoint
  const seen = await readAll(await TrustedTree.open(source.log, checkpoint), origin, progress)
  const algorithms: AlgorithmUse[] = [{ ...SHA_256, use: 'tree', since: 0 }]
  for (const vkey of trust.vkeysOf(origin))
    algorithms.push({ ...signatureOf(parseVkey(vkey).type), use: 'checkpoints', since: 0 })
  if (seen.split !== undefined) algorithms.push({ ...SHA_256, use: 'split records', since: seen.split })
  for (const [algorithm, { binding, index }] of seen.bindings) {
    const at = { since: index, covers: binding.size }
    algorithms.push({ ...TREE_HASHES[algorithm], use: 'second tree', ...at })
    const { type } = parseVkey(binding.vkey)
    algorithms.push({ ...signatureOf(type), use: 'second tree checkpoints', ...at })
  }
  return { place: source.place, origin, size, root, trust: trust.toString(), algorithms }
}

async function readAll(tree: TrustedTree, origin: string, progress: UsesOptions['progress']): Promise<Seen> {
  const seen: Seen = { split: undefined, bindings: new Map() }
  let index = 0
  for await (const entries of ahead(tree.bundles, 4, (i) => tree.bundle(i))) {
    for (const bytes of entries) noteUse(seen, parsed(bytes, index), { origin, index: index++ })
    progress(Math.min(tree.size, Math.ceil(index / TILE_WIDTH) * TILE_WIDTH), tree.size)
  }
  return seen
}

function noteUse(seen: Seen, entry: Entry, place: { origin: string; index: number }): void {
  if (entry.split !== undefined) seen.split ??= place.index
  const binding = bindingIn(entry, nativeCodec, nativeHasher)
  // Ignore a faulty binding here: `verify` reports it.
  if (binding === undefined || isBindingProblem(binding) || misplacedBinding(binding, place) !== undefined)
    return
  if (!seen.bindings.has(binding.algorithm))
    seen.bindings.set(binding.algorithm, { binding, index: place.index })
}

function parsed(bytes: Uint8Array, index: number): Entry {
  try {
    return parseEntry(bytes, nativeCodec)
  } catch (error) {
    throw new ClientError('false', `entry ${index}: ${messageOf(error)}`)
  }
}
