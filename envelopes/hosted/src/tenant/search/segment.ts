/**
 * A segment: a file of the search index about a range of entries. It begins with the length and the CRC-32 of its head, as two numbers of
 * 32 bits, big-endian. The head and the sections after it are JSON. The head has the CRC-32 of each section, so damage is detected before
 * data is used.
 */
import { open, rename, rm, writeFile, type FileHandle } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import type { FieldCondition, SearchField } from '@service-fs/format/json-fields'
import type { Selection } from '@service-fs/format/selection'
import type { EntryRange } from '@service-fs/wire/search-page'
import { bundlesInTime, rangesOfBundles, rangesOfOffsets, type Collector, type Times } from './collector.ts'
import { hashOf, isFieldOf, type FieldValues } from './field-values.ts'

const MAGIC = 'service-fs/search-index/v1'
const PREAMBLE = 8
/** Bytes of the section of an empty list. */
const EMPTY = 2
/** Identifiers in one section. */
const BLOCK = 256
/** A head has fewer bytes than this, even if all types of its segment differ and have the greatest length. */
const MOST_HEAD = 64 * 2 ** 20

/** A section: where it begins after the head, its length, and its CRC-32. */
type Section = readonly [at: number, length: number, crc: number]

interface Head {
  readonly magic: typeof MAGIC
  /** Index of the first entry. */
  readonly first: number
  /** Names the content of the entries: see {@link Segment.open}. */
  readonly tree: string
  readonly times: readonly Times[]
  /** For each type, the section of the offsets of its records. */
  readonly types: readonly (readonly [type: string, section: Section])[]
  /** The sections of the identifiers with their offsets, sorted by identifier, and the first identifier of each. */
  readonly blocks: readonly (readonly [id: string, section: Section])[]
  /** The fields that were declared. An older segment has none. */
  readonly fields?: readonly StoredField[]
}

interface StoredField extends SearchField {
  /** The sections of the hashes with their offsets, sorted by hash, and the first hash of each. */
  readonly blocks: readonly (readonly [hash: number, section: Section])[]
  /** The section of {@link FieldValues.unread}. */
  readonly unread: Section
}

/** A hash, and the offsets of the records whose values have it. */
type Group = readonly [hash: number, ...offsets: number[]]

/** Stored data is corrupt, or belongs to other entries. */
export class SegmentDamage extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'SegmentDamage'
  }
}

/** Another segment has taken the place of an open one. */
export class SegmentReplaced extends Error {
  constructor() {
    super('the segment was replaced')
    this.name = 'SegmentReplaced'
  }
}

/**
 * Writes a segment, and returns its length. It appears whole or not at all. It is not synced: a read detects damage by a power cut.
 */
export async function writeSegment(path: string, collector: Collector, tree: string): Promise<number> {
  const temporary = `${path}.new`
  try {
    const bytes = encode(collector, tree)
    await writeFile(temporary, bytes, { mode: 0o600 })
    await rename(temporary, path)
    return bytes.length
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw error
  }
}

function encode({ first, names, times, fields: values }: Collector, tree: string): Buffer {
  const sections: Buffer[] = []
  let at = 0
  const add = (value: unknown): Section => {
    const bytes = Buffer.from(JSON.stringify(value))
    const section = [at, bytes.length, crc32(bytes)] as const
    sections.push(bytes)
    at += bytes.length
    return section
  }
  const byType = new Map<string, number[]>()
  for (const { type, offset } of names) {
    const offsets = byType.get(type)
    if (offsets === undefined) byType.set(type, [offset])
    else offsets.push(offset)
  }
  const types = [...byType].map(([type, offsets]) => [type, add(offsets)] as const)
  const sorted = names.toSorted((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))
  const blocks: (readonly [string, Section])[] = []
  for (let from = 0; from < sorted.length; from += BLOCK) {
    const block = sorted.slice(from, from + BLOCK)
    blocks.push([block[0]?.id ?? '', add(block.map(({ id, offset }) => [id, offset]))])
  }
  const fields = values.map((found) => storedField(found, add))
  const head: Head = { magic: MAGIC, first, tree, times, types, blocks, fields }
  const text = Buffer.from(JSON.stringify(head))
  const preamble = Buffer.alloc(PREAMBLE)
  preamble.writeUInt32BE(text.length, 0)
  preamble.writeUInt32BE(crc32(text), 4)
  return Buffer.concat([preamble, text, ...sections])
}

function storedField(values: FieldValues, add: (value: unknown) => Section): StoredField {
  const blocks: (readonly [number, Section])[] = []
  let block: Group[] = []
  let size = 0
  for (const group of groupsOf(values)) {
    block.push(group)
    size += group.length
    if (size < BLOCK) continue
    blocks.push([block[0]?.[0] ?? 0, add(block)])
    ;[block, size] = [[], 0]
  }
  if (block.length > 0) blocks.push([block[0]?.[0] ?? 0, add(block)])
  return { ...values.field, blocks, unread: add(values.unread) }
}

function groupsOf({ hashes, offsets }: FieldValues): Group[] {
  const groups = new Map<number, [number, ...number[]]>()
  for (const [i, hash] of hashes.entries()) {
    const offset = offsets[i] as number
    const group = groups.get(hash)
    if (group === undefined) groups.set(hash, [hash, offset])
    else group.push(offset)
  }
  return [...groups.values()].sort(([a], [b]) => a - b)
}

export class Segment {
  readonly #path: string
  readonly #head: Head
  /** The length and the checksum of the head, which distinguish this segment from another one at the same path. */
  readonly #preamble: Buffer
  /** Where the sections begin in the file. */
  readonly #body: number
  /** Sections read so far. */
  #sections = 0

  /**
   * Opens the segment of the entries from `first` on. `tree` names their content: the segment was made from just those entries.
   * @throws SegmentDamage, or the file system's error
   */
  static async open(path: string, first: number, tree: string): Promise<Segment> {
    return reading(path, async (file) => {
      const preamble = await bytesAt(file, 0, PREAMBLE)
      const length = preamble.readUInt32BE(0)
      if (length > MOST_HEAD) throw new SegmentDamage('the head is too long')
      const text = await bytesAt(file, PREAMBLE, length)
      if (crc32(text) !== preamble.readUInt32BE(4))
        throw new SegmentDamage('the checksum of the head is wrong')
      const head = parsed(text) as Head
      if (head.magic !== MAGIC || head.first !== first || head.tree !== tree)
        throw new SegmentDamage('it belongs to other entries')
      return new Segment(path, head, preamble)
    })
  }

  private constructor(path: string, head: Head, preamble: Buffer) {
    this.#path = path
    this.#head = head
    this.#preamble = preamble
    this.#body = PREAMBLE + preamble.readUInt32BE(0)
  }

  /** Bytes of the head in the file. In memory the head takes several times as many. */
  get headBytes(): number {
    return this.#body - PREAMBLE
  }

  /** Number of sections that were read from the file. */
  get sections(): number {
    return this.#sections
  }

  /** Whether the segment has the values of every one of these fields. */
  covers(fields: readonly SearchField[]): boolean {
    return fields.every((field) => this.#stored(field) !== undefined)
  }

  #stored({ type, pointer }: SearchField): StoredField | undefined {
    return this.#head.fields?.find((field) => field.type === type && field.pointer === pointer)
  }

  /**
   * Returns where the records of a selection may be, from the entry `from` on. `fields` are the declared fields.
   * @throws SegmentDamage, SegmentReplaced, or the file system's error
   */
  async ranges(selection: Selection, from: number, fields: readonly SearchField[]): Promise<EntryRange[]> {
    const { first, times } = this.#head
    const { type, prefix, where = [] } = selection
    const inTime = bundlesInTime(times, selection)
    if (!inTime.includes(true)) return []
    if (type === undefined && prefix === undefined && where.length === 0)
      return rangesOfBundles(first, inTime, from)
    return reading(this.#path, async (file) => {
      if (!(await bytesAt(file, 0, PREAMBLE)).equals(this.#preamble)) throw new SegmentReplaced()
      let found = type === undefined ? undefined : await this.#ofType(file, type)
      for (const condition of where)
        if (found?.length !== 0)
          found = both(found, await this.#ofField(file, condition, fieldsOf(fields, condition, type)))
      if (prefix !== undefined && found?.length !== 0) found = await this.#withPrefix(file, prefix, found)
      return rangesOfOffsets(first, found ?? [], inTime, from)
    })
  }

  /**
   * Returns the offsets of the records that may have a value in one of these fields. If the segment lacks a field,
   * these are all records of the field's type.
   */
  async #ofField(
    file: FileHandle,
    { text }: FieldCondition,
    fields: readonly SearchField[],
  ): Promise<number[]> {
    const hash = hashOf(text)
    const offsets: number[] = []
    for (const field of fields) {
      const stored = this.#stored(field)
      if (stored === undefined) offsets.push(...(await this.#ofType(file, field.type)))
      else offsets.push(...(await this.#ofHash(file, stored, hash)))
    }
    return offsets.sort((a, b) => a - b)
  }

  async #ofHash(file: FileHandle, { blocks, unread }: StoredField, hash: number): Promise<number[]> {
    const offsets = unread[1] === EMPTY ? [] : ((await this.#section(file, unread)) as number[])
    const block = blocks.findLast(([first]) => first <= hash)
    if (block === undefined) return offsets
    const groups = (await this.#section(file, block[1])) as Group[]
    const [, ...found] = groups.find(([one]) => one === hash) ?? [hash]
    return [...offsets, ...found]
  }

  async #ofType(file: FileHandle, type: string): Promise<number[]> {
    const found = this.#head.types.find(([name]) => name === type)
    return found === undefined ? [] : ((await this.#section(file, found[1])) as number[])
  }

  /** Returns the offsets of the records whose identifiers have a prefix; with `among`, only the offsets in `among`. */
  async #withPrefix(file: FileHandle, prefix: string, among: number[] | undefined): Promise<number[]> {
    const { blocks } = this.#head
    const wanted = among === undefined ? undefined : new Set(among)
    const offsets: number[] = []
    // Only the last block that starts before the prefix, and the blocks that start with it, can have such identifiers.
    const after = blocks.findIndex(([id]) => id >= prefix)
    for (let i = Math.max(0, (after < 0 ? blocks.length : after) - 1); i < blocks.length; i++) {
      const [start, section] = blocks[i] as (typeof blocks)[number]
      if (start >= prefix && !start.startsWith(prefix)) break
      for (const [id, offset] of (await this.#section(file, section)) as [string, number][])
        if (id.startsWith(prefix) && wanted?.has(offset) !== false) offsets.push(offset)
    }
    return offsets.sort((a, b) => a - b)
  }

  async #section(file: FileHandle, [at, length, crc]: Section): Promise<unknown> {
    this.#sections += 1
    const bytes = await bytesAt(file, this.#body + at, length)
    if (crc32(bytes) !== crc) throw new SegmentDamage('the checksum of a section is wrong')
    return parsed(bytes)
  }
}

/** Returns the offsets that are in both lists; if there is no first list, returns the second. */
function both(a: readonly number[] | undefined, b: number[]): number[] {
  if (a === undefined) return b
  const among = new Set(a)
  return b.filter((offset) => among.has(offset))
}

function fieldsOf(
  fields: readonly SearchField[],
  { pointer }: FieldCondition,
  type: string | undefined,
): SearchField[] {
  return fields.filter((field) => isFieldOf(field, pointer, type))
}

/** @throws SegmentDamage */
function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    throw new SegmentDamage('expected JSON, found something else')
  }
}

async function reading<T>(path: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, 'r')
  try {
    return await use(file)
  } finally {
    await file.close()
  }
}

async function bytesAt(file: FileHandle, at: number, length: number): Promise<Buffer> {
  const { size } = await file.stat()
  if (at + length > size) throw new SegmentDamage('the file is truncated')
  const bytes = Buffer.allocUnsafe(length)
  for (let done = 0; done < length;) {
    const { bytesRead } = await file.read(bytes, done, length - done, at + done)
    if (bytesRead === 0) throw new SegmentDamage('the file is truncated')
    done += bytesRead
  }
  return bytes
}
