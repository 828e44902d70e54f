/** Reads whole records from entry bundles, in order. */
import { joinParts, parseEntry, type Entry, type Field } from '@service-fs/format/entry'
import { TILE_WIDTH, tileWidth } from '@service-fs/tlog/tile'
import { ahead } from './ahead.ts'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'
import { nativeCodec, sha256Hex } from '@service-fs/native/native'
import type { LogSource } from './source.ts'

/** The entry bundles of a tree of `size` entries: from a {@link TrustedTree}, which verifies them, or from an unverified source. */
export interface Bundles {
  size: number
  bundle(index: number): Promise<Uint8Array[]>
}

/** A record with its place in the log. */
export interface TreeRecord {
  /** Index of the record's first entry. */
  index: number
  /** The number of entries that the record takes. */
  parts: number
  id: string
  type: string
  time: string
  /** The other fields of the record's header. */
  fields: readonly Field[]
  payload: Uint8Array
  /** The bytes of the record's first entry, whose leaf hash its proof covers. */
  entry: Uint8Array
  /** The number of bytes of that entry's header; the other bytes are its payload. */
  headerLength: number
}

/** A parsed entry and its bytes. */
interface Read {
  bytes: Uint8Array
  entry: Entry
}

/** Returns the bundles of a source, not verified. */
export function uncheckedBundles(source: LogSource, size: number): Bundles {
  return { size, bundle: (index) => source.bundle(index, tileWidth('entries', index, size)) }
}

/**
 * Yields every record of a tree, and joins split records. Reads `width` bundles ahead.
 * @throws ClientError `false` when entries do not form a record
 */
export async function* treeRecords(tree: Bundles, width = 4): AsyncGenerator<TreeRecord> {
  let index = 0
  let parts: Read[] = []
  for await (const entries of ahead(Math.ceil(tree.size / TILE_WIDTH), width, (i) => tree.bundle(i))) {
    for (const bytes of entries) {
      // Copy a part while its record is incomplete: a view would keep the whole bundle in memory.
      const found = read(parts.length > 0 ? bytes.slice() : bytes, index)
      if (parts.length > 0 || found.entry.split !== undefined)
        parts.push(parts.length === 0 ? read(bytes.slice(), index) : found)
      index += 1
      if (parts.length > 0 && parts.length < (parts[0]?.entry.split?.parts ?? 1)) continue
      const record = whole(parts.length > 0 ? parts : [found], index)
      // The parts duplicate the content: release them before the caller uses the record.
      parts = []
      yield record
    }
  }
  if (parts.length > 0)
    throw new ClientError(
      'false',
      `entry ${index}: expected part ${parts.length + 1} of a record, found the end of the log`,
    )
}

function read(bytes: Uint8Array, index: number): Read {
  try {
    return { bytes, entry: parseEntry(bytes, nativeCodec) }
  } catch (error) {
    throw new ClientError('false', `entry ${index}: ${messageOf(error)}`)
  }
}

function whole(parts: readonly Read[], end: number): TreeRecord {
  const index = end - parts.length
  try {
    const { bytes, entry } = parts[0] as Read
    const { header, headerLength } = entry
    const { id, type, time, fields } = header
    const payload = joinParts(
      parts.map((part) => part.entry),
      sha256Hex,
    )
    return { index, parts: parts.length, id, type, time, fields, payload, entry: bytes, headerLength }
  } catch (error) {
    throw new ClientError('false', `entry ${index}: ${messageOf(error)}`)
  }
}
