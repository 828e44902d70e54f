/** The hashes over a ledger's full tiles that its own newest signed checkpoint proves. */
import { ClientError } from '@service-fs/client/errors'
import type { LedgerFiles } from '@service-fs/client/ledger-files'
import { tailNow } from '@service-fs/client/source'
import { tailPath, type LoadedTail } from '@service-fs/client/tail'
import type { Trust } from '@service-fs/client/trust'
import { messageOf } from '@service-fs/format/errors'
import { nativeHasher } from '@service-fs/native/native'
import { Edge, edgeNodes } from '@service-fs/tlog/edge'
import type { Hash } from '@service-fs/tlog/hash'
import { popcount } from '@service-fs/tlog/math'
import { TILE_HEIGHT, TILE_WIDTH } from '@service-fs/tlog/tile'

/** Consecutive full tiles of a level, whose hashes combine to one hash. */
export interface Run {
  level: number
  first: number
  width: number
  hash: Hash
}

/** The newest signed tree of a ledger. */
export interface SignedRuns {
  size: number
  root: Hash
  /** Tiles must hold all entries before this index. The tail holds the later entries; tiles may hold them, too. */
  sealed: number
  /** Runs that cover all full bundles, from the first on. */
  runs: Run[]
}

/**
 * Proves the right edge of the newest tail file: with the entries after it, it must yield the root hash of the last commit, which the
 * log has signed.
 * @throws ClientError `false` when it does not; `file` when there is no tail
 */
export async function signedRuns(files: LedgerFiles, trust: Trust, origin: string): Promise<SignedRuns> {
  const { starts, newest } = await tailNow(files)
  if (newest === undefined) return withoutTail(files, trust, origin)
  const name = `${files.place}/${tailPath(newest.start)}`
  try {
    return { sealed: starts[0] ?? 0, ...provenBy(newest, trust, origin) }
  } catch (error) {
    throw new ClientError(
      'false',
      `${name}: ${messageOf(error)}; only an intact tail proves the sealed files`,
    )
  }
}

async function withoutTail(files: LedgerFiles, trust: Trust, origin: string): Promise<SignedRuns> {
  const note = (await files.read('checkpoint'))?.toString() ?? ''
  const { size, root } = trust.open(note, origin)
  if (size === 0) return { size, root, sealed: 0, runs: [] }
  throw new ClientError(
    'file',
    `${files.place}: expected a ledger or a mirror, with a tail, found none: to replace a damaged export, make a new one`,
  )
}

function provenBy(tail: LoadedTail, trust: Trust, origin: string): Omit<SignedRuns, 'sealed'> {
  if (tail.problem !== undefined) throw new Error(`byte ${tail.problem.offset}: ${tail.problem.text}`)
  const last = tail.commits.at(-1)
  if (last === undefined) throw new Error('expected a commit, found none')
  const { size, root } = trust.open(last.note, origin)
  if (size !== tail.start + last.lines)
    throw new Error(`expected a checkpoint of size ${tail.start + last.lines}, found ${size}`)
  const edge = new Edge(tail.start, tail.edge)
  let full = fullBundles(edge)
  for (const line of tail.lines.slice(0, last.lines)) {
    edge.append(nativeHasher.leaf(Buffer.from(line, 'base64')), nativeHasher)
    if (edge.size % TILE_WIDTH === 0) full = edge.clone()
  }
  const found = edge.root(nativeHasher)
  if (found !== root)
    throw new Error(`expected the root hash ${root} of the signed checkpoint, found ${found}`)
  return { size, root, runs: runsOf(full) }
}

/** Returns the right edge at the last bundle boundary. */
function fullBundles(edge: Edge): Edge {
  const bundles = Math.floor(edge.size / TILE_WIDTH)
  return new Edge(bundles * TILE_WIDTH, edge.hashes().slice(0, popcount(bundles)))
}

function runsOf(edge: Edge): Run[] {
  const hashes = edge.hashes()
  return edgeNodes(edge.size).map(({ level: height, index }, i) => {
    const level = Math.floor(height / TILE_HEIGHT) - 1
    const width = 2 ** (height - TILE_HEIGHT * (level + 1))
    return { level, first: index * width, width, hash: hashes[i] as Hash }
  })
}
