/** Repairs the second trees of a ledger, in step with the repair of its log. */
import { LEFT_OUT } from '@service-fs/client/second-tree/second-tree'
import type { LedgerFiles } from '@service-fs/client/ledger-files'
import { isTreeAlgorithm, type TreeAlgorithm } from '@service-fs/format/tree-binding'
import { nativeHasher } from '@service-fs/native/native'
import { Edge } from '@service-fs/tlog/edge'
import type { PackedEntries } from '@service-fs/tlog/kernel/kernel'
import { TILE_WIDTH } from '@service-fs/tlog/tile'
import type { SignedRuns } from './signed-runs.ts'
import type { StoredTiles } from './stored-tiles.ts'
import { TreeBindings } from './tree-bindings.ts'
import { TreeRepair, type TreeRepairOptions } from './tree-repair.ts'

/** Returns the algorithms of the second trees in a ledger. Leaves out a tree that this copy of the ledger states to leave out. */
export async function treesIn(files: LedgerFiles): Promise<TreeAlgorithm[]> {
  const found: TreeAlgorithm[] = []
  for (const { name, kind } of await files.list('')) {
    if (kind !== 'directory' || !isTreeAlgorithm(name)) continue
    const inside = await files.list(name)
    if (inside.length !== 1 || inside[0]?.name !== LEFT_OUT) found.push(name)
  }
  return found
}

export class TreeRepairs {
  readonly #trees: readonly TreeRepair[]
  readonly #bindings: TreeBindings
  readonly #stored: StoredTiles

  constructor(algorithms: readonly TreeAlgorithm[], options: Omit<TreeRepairOptions, 'algorithm'>) {
    this.#trees = algorithms.map((algorithm) => new TreeRepair({ ...options, algorithm }))
    this.#bindings = new TreeBindings(options.origin)
    this.#stored = options.stored
  }

  /** Adds a bundle; see LogRepairOptions.bundle. */
  async add(index: number, entries: PackedEntries | undefined): Promise<void> {
    for (const tree of this.#trees) await tree.add(index, entries)
    if (entries === undefined) return
    const { bytes, offsets } = entries
    for (let i = 0; i < TILE_WIDTH; i++)
      this.#bindings.add(index * TILE_WIDTH + i, bytes.subarray(offsets[i], offsets[i + 1]))
  }

  /** Repairs the trees, once all bundles of the log were added. @throws ClientError `file` */
  async end(log: SignedRuns): Promise<void> {
    const bundles = Math.floor(log.size / TILE_WIDTH)
    const rest = await provenRest(this.#stored, log)
    for (const [i, entry] of rest?.entries() ?? []) this.#bindings.add(bundles * TILE_WIDTH + i, entry)
    for (const tree of this.#trees) {
      await tree.upTo(bundles)
      await tree.end({ bindings: this.#bindings.of(tree.algorithm), rest })
    }
  }
}

/** Returns the entries after the last full bundle; undefined unless they yield the root hash of the log's tree. */
async function provenRest(stored: StoredTiles, log: SignedRuns): Promise<Uint8Array[] | undefined> {
  const bundles = Math.floor(log.size / TILE_WIDTH)
  const width = log.size % TILE_WIDTH
  if (width === 0) return []
  const entries = await stored.partial(bundles, width)
  if (entries === undefined) return undefined
  const edge = new Edge(
    bundles * TILE_WIDTH,
    log.runs.map(({ hash }) => hash),
  )
  for (const entry of entries) edge.append(nativeHasher.leaf(entry), nativeHasher)
  return edge.root(nativeHasher) === log.root ? entries : undefined
}
