/** Finds records by their headers and fields, and verifies each found record against the signed checkpoint. */
import { joinParts, parseEntry, type Entry } from '@service-fs/format/entry'
import { messageOf } from '@service-fs/format/errors'
import { conditionText, MAX_JSON_BYTES } from '@service-fs/format/json-fields'
import type { Selection } from '@service-fs/format/selection'
import { nativeCodec, sha256Hex } from '@service-fs/native/native'
import { TILE_WIDTH } from '@service-fs/tlog/tile'
import { keysIn } from './audit-place.ts'
import { ClientError } from './errors.ts'
import { openTree } from './get.ts'
import { isUrl, membersOf, withConnection, type Connection, type ConnectionOptions } from './http.ts'
import type { LedgerFiles } from './ledger-files.ts'
import { filesSource } from './source.ts'
import { treeRecords } from './tree-records.ts'
import { TrustedTree } from './tree.ts'
import { Trust, type TrustOptions } from './trust.ts'
import { withLedgerFiles } from './verify-place.ts'
import { trustOf } from './verify-url.ts'

/** A record that meets the selection. */
export interface FoundRecord {
  /** Index of the record's first entry, plus 1. */
  readonly cursor: number
  readonly id: string
  readonly type: string
  readonly time: string
}

/** Receives the records in order. */
type Each = (record: FoundRecord) => Promise<void>

/**
 * Finds the records of a selection in the ledger at `place`: behind a URL, in a directory, in a tar archive or in a disk image. Behind a
 * URL, the server searches and could leave records out; each record that the server returns is verified. In files, every entry is read and
 * verified.
 * @throws ClientError `false` when the ledger or a response does not verify
 */
export function searchPlace(
  place: string,
  selection: Selection,
  options: TrustOptions & ConnectionOptions,
  each: Each,
): Promise<Trust> {
  if (isUrl(place)) return withConnection(place, options, (to) => searchUrl(to, selection, options, each))
  return withLedgerFiles(place, options.moduleId, (files) => searchFiles(files, selection, options, each))
}

async function searchFiles(
  files: LedgerFiles,
  selection: Selection,
  options: TrustOptions,
  each: Each,
): Promise<Trust> {
  const trust = Trust.pinned(options) ?? Trust.shown(await keysIn(files), 'keys/')
  const source = filesSource(files)
  const tree = await TrustedTree.open(source, trust.openPublished(await source.checkpoint()).checkpoint)
  for await (const record of treeRecords(tree)) {
    const { index, id, type, time } = record
    if (selection.selects(record) && selection.selectsPayload(record.payload))
      await each({ cursor: index + 1, id, type, time })
  }
  return trust
}

async function searchUrl(
  connection: Connection,
  selection: Selection,
  options: TrustOptions,
  each: Each,
): Promise<Trust> {
  const trust = await trustOf(connection, options)
  const tree = await openTree(connection, trust)
  const query = queryOf(selection)
  const held = new LastBundle(tree)
  for (let after = 0; after < tree.size;) {
    const { hits, next } = parsePage(await connection.askJson(`v1/search?after=${after}&limit=1000${query}`))
    for (const hit of hits) {
      if (hit.cursor <= after || hit.cursor > next)
        throw new ClientError('false', `v1/search: expected a cursor above ${after}, found ${hit.cursor}`)
      // Records that were appended after the search began are not in the tree.
      if (hit.cursor > tree.size) return trust
      await verifyHit(held, hit, selection)
      await each(hit)
      after = hit.cursor
    }
    if (next < after || (next === after && hits.length === 0))
      throw new ClientError('false', `v1/search: expected a next_cursor above ${after}, found ${next}`)
    after = next
  }
  return trust
}

function queryOf(selection: Selection): string {
  let query = ''
  for (const name of ['from', 'to', 'type', 'prefix'] as const) {
    const value = selection[name]
    if (value !== undefined) query += `&${name}=${encodeURIComponent(value)}`
  }
  for (const condition of selection.where ?? [])
    query += `&where=${encodeURIComponent(conditionText(condition))}`
  return query
}

/** @throws ClientError `malformed` */
function parsePage(value: unknown): { hits: FoundRecord[]; next: number } {
  const { hits, next_cursor: next } = membersOf(value)
  if (!Array.isArray(hits)) throw new ClientError('malformed', 'v1/search: expected hits')
  return { hits: hits.map(parseHit), next: countIn(next, 'next_cursor') }
}

function parseHit(value: unknown): FoundRecord {
  const { cursor, payload_id: id, type, time } = membersOf(value)
  if (typeof id !== 'string' || typeof type !== 'string' || typeof time !== 'string')
    throw new ClientError('malformed', 'v1/search: expected payload_id, type and time as text')
  return { cursor: countIn(cursor, 'cursor'), id, type, time }
}

function countIn(value: unknown, name: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw new ClientError('malformed', `v1/search: expected ${name} as a non-negative integer`)
}

/** Reads the bundles of a tree. Hits come in order, so only the last bundle is kept. */
class LastBundle {
  readonly #tree: TrustedTree
  #number = -1
  #entries: readonly Uint8Array[] = []

  constructor(tree: TrustedTree) {
    this.#tree = tree
  }

  async entry(index: number): Promise<Uint8Array> {
    const number = Math.floor(index / TILE_WIDTH)
    if (number !== this.#number) {
      this.#entries = await this.#tree.bundle(number)
      this.#number = number
    }
    return this.#entries[index % TILE_WIDTH] ?? new Uint8Array()
  }
}

/** Verifies that the entry of a hit is in the tree, matches the server's response, and meets the selection. @throws ClientError `false` */
async function verifyHit(bundles: LastBundle, hit: FoundRecord, selection: Selection): Promise<void> {
  const index = hit.cursor - 1
  const entry = entryOf(await bundles.entry(index), index)
  const { header, continuation } = entry
  const isHit =
    header.id === hit.id && header.type === hit.type && header.time === hit.time && continuation === undefined
  if (!isHit || !selection.selects(header) || !(await hasFields(bundles, index, entry, selection)))
    throw new ClientError(
      'false',
      `v1/search: entry ${index} of the signed tree is not the record ${JSON.stringify(hit.id)} of the selection`,
    )
}

/** Reports whether the record whose first entry is given meets the conditions on fields. @throws ClientError `false` */
async function hasFields(
  bundles: LastBundle,
  index: number,
  first: Entry,
  selection: Selection,
): Promise<boolean> {
  if (selection.where === undefined) return true
  const { parts, length } = first.split ?? { parts: 1, length: first.payload.length }
  if (length > MAX_JSON_BYTES) return false
  const entries = [first]
  for (let part = 1; part < parts; part++)
    entries.push(entryOf(await bundles.entry(index + part), index + part))
  try {
    return selection.selectsPayload(joinParts(entries, sha256Hex))
  } catch (error) {
    throw new ClientError('false', `entry ${index}: ${messageOf(error)}`)
  }
}

function entryOf(bytes: Uint8Array, index: number): ReturnType<typeof parseEntry> {
  try {
    return parseEntry(bytes, nativeCodec)
  } catch (error) {
    throw new ClientError('false', `entry ${index}: ${messageOf(error)}`)
  }
}
