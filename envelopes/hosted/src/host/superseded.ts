/**
 * Whether a tail file may be let go: whether each entry of its whole commits stands in the same place in sealed bundles that are
 * immutable, or in a newer tail file that only grows. The tenant that asks is not believed.
 */
import { parseCommit, parseEdge } from '@service-fs/format/tail-text'
import { readTail } from '@service-fs/format/tail-read'
import { nativeCodec, nativeCrypto, nativeHasher } from '@service-fs/native/native'
import { verifierFromVkey } from '@service-fs/tlog/keys'

export interface OldTail {
  /** Index of the first entry in it. */
  start: number
  bytes: Uint8Array
}

/** What only the supervisor can have read: all of it immutable or growing only. Each resolves with undefined when it is not. */
export interface Evidence {
  readonly newer: OldTail
  readonly bundle: (index: number) => Promise<Uint8Array | undefined>
  readonly origin: () => Promise<string | undefined>
  readonly vkey: () => Promise<string | undefined>
}

/** A tail file above this whose commits are not all elsewhere is not looked into any further, and stays. */
const MOST_CHECKED_BYTES = 64 * 1024 * 1024
/** Milliseconds at a time in which nothing else is done. */
const AT_A_TIME_MS = 10

const PER_BUNDLE = 256

export async function isSuperseded(old: OldTail, evidence: Evidence): Promise<boolean> {
  const { newer } = evidence
  if (newer.start <= old.start || newer.start % PER_BUNDLE !== 0) return false
  const carried = firstLines(newer)
  if (carried === undefined) return false
  const elsewhere = new Elsewhere(evidence, newer.start, carried)
  if (await everyLine(commitLines(old), old.start, elsewhere)) return true
  // A commit that a power cut tore may look like a whole one. By the signatures and roots it is none.
  const counted = await countedLines(old, evidence)
  return counted !== undefined && (await everyLine(counted, old.start, elsewhere))
}

/** The entry lines that a tail file begins with: those of its first commit, or of the one behind a first that has none. */
function firstLines({ start, bytes }: OldTail): string[] | undefined {
  const edge = parseEdge(start, bytes, nativeCodec)
  if (typeof edge === 'string') return undefined
  const first = parseCommit(bytes, edge.end, nativeCodec)
  if (typeof first === 'string' || first.lines.length > 0 || first.end === bytes.length)
    return typeof first === 'string' ? undefined : first.lines
  const second = parseCommit(bytes, first.end, nativeCodec)
  return typeof second === 'string' ? undefined : second.lines
}

/** The entry lines of what looks like a commit, up to what does not. */
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

/** The entry lines of the commits that count; undefined when that can't be told. */
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

/** The entries before `boundary` in bundles, those from there on in the newer tail file. */
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
