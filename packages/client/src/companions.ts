/** Checks that each signed record is followed by its signature (docs/signed-origin.md), and verifies these signatures again. */
import {
  authorIn,
  isAuthorProblem,
  isSignatureType,
  MAX_SIGNATURE_BYTES,
  SIGNATURE_OF_FIELD,
  signatureId,
  type Author,
  type SignatureType,
} from '@service-fs/format/author'
import { fieldOf, joinParts, parseEntry, type Entry, type Field } from '@service-fs/format/entry'
import { messageOf } from '@service-fs/format/errors'
import { nativeCodec, sha256Hex } from '@service-fs/native/native'
import { TILE_WIDTH, tileWidth } from '@service-fs/tlog/tile'
import type { Place, Problems } from './problems.ts'
import type { LogSource } from './source.ts'

/** A signed record that must be followed by its signature. */
interface Signed {
  readonly id: string
  readonly author: Author
}

/** Checks the first entry of each record, in order. */
export class CompanionCheck {
  readonly #problems: Problems
  #awaited: Signed | undefined
  /** Whether the record before the next record is missing. */
  #gap = false
  /** The places of the signed records whose signatures follow them. */
  readonly signed: Place[] = []
  #place: Place = { file: '' }

  constructor(problems: Problems) {
    this.#problems = problems
  }

  /** Whether the next record must be a signature. */
  get isAwaiting(): boolean {
    return this.#awaited !== undefined
  }

  next(entry: Entry, place: Place): void {
    const awaited = this.#awaited
    this.#awaited = undefined
    if (awaited !== undefined) this.#companion(awaited, entry, place)
    else if (!this.#gap && fieldOf(entry.header, SIGNATURE_OF_FIELD) !== undefined)
      this.#problems.add(place, 'the signed record directly before its signature', 'another record')
    this.#gap = false
    const author = authorIn(entry.header)
    if (author === undefined) return
    if (isAuthorProblem(author))
      return this.#problems.add(place, `${author.field}: ${author.expected}`, author.found)
    this.#awaited = { id: entry.header.id, author }
    this.#place = place
  }

  #companion({ id, author }: Signed, entry: Entry, place: Place): void {
    const { header, payload, split } = entry
    const of = `the signature of ${JSON.stringify(id)}`
    const wanted = signatureId(id, sha256Hex, nativeCodec)
    if (header.id !== wanted)
      return this.#problems.add(place, `${of}, ${JSON.stringify(wanted)}`, JSON.stringify(header.id))
    const found = fieldOf(entry.header, SIGNATURE_OF_FIELD)
    if (found !== id)
      return this.#problems.add(place, `${SIGNATURE_OF_FIELD}: ${JSON.stringify(id)}`, found ?? 'nothing')
    if (!isSignatureType(header.type)) return this.#problems.add(place, `${of} as a JWS or CMS`, header.type)
    const length = split?.length ?? payload.length
    if (length > MAX_SIGNATURE_BYTES)
      return this.#problems.add(place, `${of} of at most ${MAX_SIGNATURE_BYTES} bytes`, String(length))
    const digest = split?.sha256 ?? sha256Hex(payload)
    if (digest !== author.signature)
      return this.#problems.add(place, `${of} with the SHA-256 ${author.signature}`, digest)
    this.signed.push(this.#place)
  }

  /** Skips records that are neither signed nor signatures. */
  others(): void {
    this.#gap = false
  }

  /** Skips missing entries. */
  gap(): void {
    this.#awaited = undefined
    this.#gap = true
  }

  end(place: Place): void {
    if (this.#awaited === undefined) return
    this.#problems.add(place, `the signature of ${JSON.stringify(this.#awaited.id)}`, 'the end')
    this.#awaited = undefined
  }
}

/** The facts in a signature that is valid for a payload. */
export interface SignatureFacts {
  readonly author: Author
  /** The issuer that the signing certificate names (RFC 4514). */
  readonly issuer: string
  /** All certificates are valid from this time to `notAfter`: RFC 3339 in UTC with milliseconds. */
  readonly notBefore: string
  readonly notAfter: string
}

/** Verifies a signature over a payload. @throws an error that says what was expected and found */
export type SignatureVerifier = (
  payload: Uint8Array,
  type: SignatureType,
  signature: Uint8Array,
) => Promise<SignatureFacts>

/** Verifies the signatures of records again, each at the time of its record. */
export async function confirmSignatures(
  signed: readonly Place[],
  size: number,
  source: Pick<LogSource, 'bundle'>,
  verify: SignatureVerifier,
  problems: Problems,
): Promise<void> {
  const reader = new RecordReader(size, source)
  for (const place of signed) {
    const record = await reader.record(place.index ?? 0)
    // Skip a record that cannot be read: the walk has reported it.
    const companion = record && (await reader.record((place.index ?? 0) + record.parts))
    if (record === undefined || companion === undefined) continue
    const { first, payload } = record
    const signature = { type: companion.first.header.type, payload: companion.payload }
    const found = await checkSignature({ ...first.header, payload }, signature, verify)
    if (isSignatureFault(found)) problems.add(place, found.expected, found.found)
  }
}

interface ReadRecord {
  readonly first: Entry
  readonly parts: number
  readonly payload: Uint8Array
}

/** A record whose header may name an author. */
export interface AuthoredRecord {
  readonly id: string
  readonly time: string
  readonly fields: readonly Field[]
  readonly payload: Uint8Array
}

/** Why a signature does not count. */
export interface SignatureFault {
  readonly expected: string
  readonly found: string
}

/** Reports whether the result of {@link checkSignature} is a fault. */
export function isSignatureFault(found: SignatureFacts | SignatureFault): found is SignatureFault {
  return 'expected' in found
}

/**
 * Verifies the signature of a record's author at the time of the record, and that the header names that author. The caller has checked
 * that the signature has the digest that the header names.
 */
export async function checkSignature(
  record: AuthoredRecord,
  { type, payload }: { type: string; payload: Uint8Array },
  verify: SignatureVerifier,
): Promise<SignatureFacts | SignatureFault> {
  const author = authorIn(record)
  if (author === undefined) return { expected: 'a signature of its author', found: 'none' }
  if (isAuthorProblem(author)) return { expected: `${author.field}: ${author.expected}`, found: author.found }
  if (!isSignatureType(type)) return { expected: 'its signature as a JWS or CMS', found: type }
  let facts: SignatureFacts
  try {
    facts = await verify(record.payload, type, payload)
  } catch (error) {
    const expected = `a valid signature of the author of ${JSON.stringify(record.id)}`
    return { expected, found: `an invalid one: ${messageOf(error)}` }
  }
  const { notBefore, notAfter } = facts
  if (record.time < notBefore || record.time > notAfter)
    return {
      expected: `certificates of the author that are valid at ${record.time}`,
      found: `${notBefore} to ${notAfter}`,
    }
  const said = shown(author)
  const real = shown(facts.author)
  return said === real ? facts : { expected: `the author of the signature, ${real}`, found: said }
}

/** Returns the facts about the author in a signature, without the anchor, which the operator chooses. */
function shown({ subject, certificate, chain, signedAt }: Author): string {
  return JSON.stringify({ subject, certificate, chain, signedAt })
}

/** Reads single records. Keeps the most recently read bundle. */
class RecordReader {
  readonly #size: number
  readonly #source: Pick<LogSource, 'bundle'>
  #bundle = -1
  #entries: readonly Uint8Array[] = []

  constructor(size: number, source: Pick<LogSource, 'bundle'>) {
    this.#size = size
    this.#source = source
  }

  /** Returns the record that starts at `index`; undefined when it cannot be read. */
  async record(index: number): Promise<ReadRecord | undefined> {
    const bytes = await this.#entry(index)
    if (bytes === undefined) return undefined
    try {
      const first = parseEntry(bytes, nativeCodec)
      const { parts = 1 } = first.split ?? {}
      const entries = [first]
      for (let i = 1; i < parts; i++)
        entries.push(parseEntry((await this.#entry(index + i)) ?? new Uint8Array(), nativeCodec))
      return { first, parts, payload: joinParts(entries, sha256Hex) }
    } catch {
      return undefined
    }
  }

  async #entry(index: number): Promise<Uint8Array | undefined> {
    const wanted = Math.floor(index / TILE_WIDTH)
    if (index >= this.#size) return undefined
    if (wanted !== this.#bundle) {
      this.#entries = await this.#source
        .bundle(wanted, tileWidth('entries', wanted, this.#size))
        .catch(() => [])
      this.#bundle = wanted
    }
    return this.#entries[index % TILE_WIDTH]
  }
}
