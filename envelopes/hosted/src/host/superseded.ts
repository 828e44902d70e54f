/**
 * Reports whether a tail file may be removed: each entry of its whole commits must have the same index in an
 * immutable sealed bundle or in a newer append-only tail file. It does not trust the tenant that asks.
 */
import { parseCommit, parseEdge } from '@service-fs/format/tail-text'
import { readTail } from '@service-fs/format/tail-read'
import { nativeCodec, nativeCrypto, nativeHasher } from '@service-fs/native/native'
import { verifierFromVkey } from '@service-fs/tlog/keys'

export interface OldTail {
  /** The index of its first entry. */
  start: number
  bytes: Uint8Array
}

/** The files to compare with. Each function resolves with undefined unless the file is immutable or append-only. */
export interface Evidence {
  readonly newer: OldTail
  readonly bundle: (index: number) => Promise<Uint8Array | undefined>
  readonly origin: () => Promise<string | undefined>
  readonly vkey: () => Promise<string | undefined>
}

/**
 * The maximum size of a tail file whose signatures and roots are checked. A larger file stays unless all its entry lines are elsewhere.
 */
const MOST_CHECKED_BYTES = 64 * 1024 * 1024
/** Milliseconds of work before other tasks may run. */
const AT_A_TIME_MS = 10

const PER_BUNDLE = 256

export async function isSuperseded(old: OldTail, evidence: Evidence): Promise<boolean> {
  const { newer } = evidence
  if (newer.start <= old.start || newer.start % PER_BUNDLE !== 0) return false
  const carried = firstLines(newer)
  if (carried === undefined) return false
  const elsewhere = new Elsewhere(evidence, newer.start, carried)
  if (await everyLine(commitLines(old), old.start, elsewhere)) return true
  // A commit torn by a power cut may look whole; its signature or root shows that it is not.
  const counted = await countedLines(old, evidence)
  return counted !== undefined && (await everyLine(counted, old.start, elsewhere))
}

/** Returns the entry lines of the first commit of a tail file, or of the second when the first has no entries. */
function firstLines({ start, bytes }: OldTail): string[] | undefined {
  const edge = parseEdge(start, bytes, nativeCodec)
  if (typeof edge === 'string') return undefined
  const first = parseCommit(bytes, edge.end, nativeCodec)
  if (typeof first === 'string' || first.lines.length > 0 || first.end === bytes.length)
    return typeof first === 'string' ? undefined : first.lines
  const second = parseCommit(bytes, first.end, nativeCodec)
  return typeof second === 'string' ? undefined : second.lines
}

/** Yields the entry lines of all commits up to the first malformed one. */
function* commitLines({ start, bytes }: OldTail): Generator<string> {
  const edge = parseEdge(start, bytes, nativeCodec)
  if (typeof edge === 'string') return
  for (let at = edge.end; at < bytes.length;) {
    const commit = parseCommit(bytes, at, nativeCodec)
    if (typeof commit === 'string') return
    yield* commit.lines
    at = commit.end
  }
}

/** Returns the entry lines of the commits that verify; undefined when the file cannot be verified. */
async function countedLines(
  { start, bytes }: OldTail,
  { origin, vkey }: Evidence,
): Promise<string[] | undefined> {
  const [name, key] = [await origin(), await vkey()]
  if (name === undefined || key === undefined || bytes.length > MOST_CHECKED_BYTES) return undefined
  const options = {
    origin: name,
    verifiers: [verifierFromVkey(key, nativeCrypto)],
    hasher: nativeHasher,
    codec: nativeCodec,
  }
  const file = async function* (): AsyncGenerator<OldTail> {
    yield { start, bytes }
  }
  try {
    return (await readTail(file(), options))?.lines
  } catch {
    return undefined
  }
}

async function everyLine(lines: Iterable<string>, start: number, elsewhere: Elsewhere): Promise<boolean> {
  let index = start
  let since = performance.now()
  for (const line of lines) {
    if ((await elsewhere.line(index)) !== line) return false
    index += 1
    if (performance.now() - since < AT_A_TIME_MS) continue
    await new Promise((resolve) => void setImmediate(resolve))
    since = performance.now()
  }
  return true
}

/** Finds entries: those before `boundary` in bundles, the others in the newer tail file. */
class Elsewhere {
  readonly #evidence: Evidence
  readonly #boundary: number
  readonly #carried: readonly string[]
  #index = -1
  #bundle: readonly string[] = []

  constructor(evidence: Evidence, boundary: number, carried: readonly string[]) {
    this.#evidence = evidence
    this.#boundary = boundary
    this.#carried = carried
  }

  line(index: number): string | undefined | Promise<string | undefined> {
    if (index >= this.#boundary) return this.#carried[index - this.#boundary]
    if (Math.floor(index / PER_BUNDLE) === this.#index) return this.#bundle[index % PER_BUNDLE]
    return this.#load(index)
  }

  async #load(index: number): Promise<string | undefined> {
    this.#index = Math.floor(index / PER_BUNDLE)
    const bytes = await this.#evidence.bundle(this.#index)
    this.#bundle =
      bytes === undefined
        ? []
        : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1').split('\n')
    return this.#bundle[index % PER_BUNDLE]
  }
}
