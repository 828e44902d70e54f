/** Whole records out of entry bundles, in order. */
import { joinParts, parseEntry, type Entry } from '@service-fs/format/entry'
import { TILE_WIDTH, tileWidth } from '@service-fs/tlog/tile'
import { ahead } from './ahead.ts'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'
import { nativeCodec, sha256Hex } from '@service-fs/native/native'
import type { LogSource } from './source.ts'

/** Bundles of a tree of `size` entries: a TrustedTree, or a source that nobody checks. */
export interface Bundles {
  size: number
  bundle(index: number): Promise<Uint8Array[]>
}

export interface TreeRecord {
  /** Index of the record's first entry. */
  index: number
  parts: number
  id: string
  type: string
  time: string
  payload: Uint8Array
}

/** The bundles of a source as they come, unchecked. */
export function uncheckedBundles(source: LogSource, size: number): Bundles {
  return { size, bundle: (index) => source.bundle(index, tileWidth('entries', index, size)) }
}

/** Every record of a tree, split ones joined. @throws ClientError `false` for entries that make no record */
export async function* treeRecords(tree: Bundles): AsyncGenerator<TreeRecord> {
  let index = 0
  let parts: Entry[] = []
  for await (const entries of ahead(Math.ceil(tree.size / TILE_WIDTH), 4, (i) => tree.bundle(i))) {
    for (const bytes of entries) {
      // A part waits for the others while its bundle goes: a copy does not hold the whole bundle.
      const entry = read(parts.length > 0 ? bytes.slice() : bytes, index)
      if (parts.length > 0 || entry.split !== undefined)
        parts.push(parts.length === 0 ? read(bytes.slice(), index) : entry)
      index += 1
      if (parts.length > 0 && parts.length < (parts[0]?.split?.parts ?? 1)) continue
      yield whole(parts.length > 0 ? parts : [entry], index)
      parts = []
    }
  }
  if (parts.length > 0)
    throw new ClientError(
      'false',
      `entry ${index}: expected part ${parts.length + 1} of a record, found the end`,
    )
}

function read(bytes: Uint8Array, index: number): Entry {
  try {
    return parseEntry(bytes, nativeCodec)
  } catch (error) {
    throw new ClientError('false', `entry ${index}: ${messageOf(error)}`)
  }
}

function whole(parts: readonly Entry[], end: number): TreeRecord {
  const index = end - parts.length
  try {
    const { id, type, time } = (parts[0] as Entry).header
    return { index, parts: parts.length, id, type, time, payload: joinParts(parts, sha256Hex) }
  } catch (error) {
    throw new ClientError('false', `entry ${index}: ${messageOf(error)}`)
  }
}
