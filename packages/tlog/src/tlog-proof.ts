import { parseCheckpointText } from './checkpoint.ts'
import { pureCodec, type Codec } from './codec.ts'
import { TlogError, quote, recode } from './errors.ts'
import { isHash, nobleHasher, type Hash, type Hasher } from './hash.ts'
import { isSize, parseDecimal } from './math.ts'
import { parseNote } from './note.ts'
import { checkPolicy, type CheckOptions, type Policy, type PolicyResult } from './policy.ts'
import { verifyInclusion } from './proof.ts'

// Offline proofs: c2sp.org/tlog-proof. A file that proves that an entry is in a log.

const FIRST_LINE = 'c2sp.org/tlog-proof@v1'
/** Hashes of the longest inclusion proof of a tree of up to 2^53 - 1 entries. */
const MAX_HASHES = 53

/** A proof that an entry is in a log. */
export interface TlogProof {
  /** Opaque bytes, at least one. Nothing authenticates them. */
  extra?: Uint8Array
  /** Index of the entry. */
  index: number
  /** The inclusion proof, leaf's sibling first (RFC 6962 section 2.1.1). */
  hashes: Hash[]
  /** The signed checkpoint, verbatim. */
  checkpoint: string
}

/** Parses a proof, and verifies nothing. @throws TlogError `proof` */
export function parseTlogProof(text: string, codec: Codec = pureCodec): TlogProof {
  const split = text.indexOf('\n\n')
  if (split === -1) throw new TlogError('proof', 'expected an empty line before the checkpoint, found none')
  const [first, ...lines] = text.slice(0, split).split('\n')
  if (first !== FIRST_LINE)
    throw new TlogError('proof', `expected ${FIRST_LINE}, found ${quote(first ?? '')}`)
  const extra = lines[0]?.startsWith('extra ')
    ? parseExtra(lines.shift()!.slice('extra '.length), codec)
    : undefined
  const index = parseIndex(lines.shift() ?? '')
  const proof: TlogProof = { index, hashes: lines, checkpoint: text.slice(split + 2) }
  if (extra !== undefined) proof.extra = extra
  checkTlogProof(proof)
  return proof
}

function parseExtra(base64: string, codec: Codec): Uint8Array {
  return recode('proof', () => codec.base64Decode(base64))
}

function parseIndex(line: string): number {
  const index = line.startsWith('index ') ? parseDecimal(line.slice('index '.length)) : undefined
  if (index === undefined)
    throw new TlogError('proof', `expected index <decimal up to 2^53 - 1>, found ${quote(line)}`)
  return index
}

function checkTlogProof({ extra, index, hashes, checkpoint }: TlogProof): void {
  if (extra?.length === 0)
    throw new TlogError('proof', 'expected at least one byte of extra data, found none')
  if (!isSize(index)) throw new TlogError('proof', `expected an index up to 2^53 - 1, found ${index}`)
  if (hashes.length > MAX_HASHES) {
    throw new TlogError('proof', `expected at most ${MAX_HASHES} hashes, found ${hashes.length}`)
  }
  const bad = hashes.find((hash) => !isHash(hash))
  if (bad !== undefined) throw new TlogError('proof', `expected the base64 of 32 bytes, found ${quote(bad)}`)
  recode('proof', () => parseCheckpointText(parseNote(checkpoint).text))
}

/** Formats a proof; the inverse of {@link parseTlogProof}. @throws TlogError `proof` */
export function formatTlogProof(proof: TlogProof, codec: Codec = pureCodec): string {
  checkTlogProof(proof)
  const extra = proof.extra === undefined ? [] : [`extra ${codec.base64Encode(proof.extra)}`]
  return [FIRST_LINE, ...extra, `index ${proof.index}`, ...proof.hashes, '', proof.checkpoint].join('\n')
}

/** The result of {@link verifyTlogProof}. Nothing authenticates `extra`. */
export interface VerifiedTlogProof extends PolicyResult {
  index: number
  extra?: Uint8Array
}

/**
 * Verifies that a log of the policy contains the entry with this leaf hash (tlog-proof, "Verifying a tlog proof").
 * @throws TlogError `proof` if malformed, `inclusion`, or an error of {@link checkPolicy}
 */
export function verifyTlogProof(
  text: string,
  leafHash: Hash,
  policy: Policy,
  hasher: Hasher = nobleHasher,
  options: CheckOptions = {},
): VerifiedTlogProof {
  const { extra, index, hashes, checkpoint } = parseTlogProof(text, options.crypto?.codec)
  const result = checkPolicy(policy, checkpoint, options)
  const { size, root } = result.checkpoint
  verifyInclusion({ index, size, leafHash, root, proof: hashes }, hasher)
  return extra === undefined ? { ...result, index } : { ...result, index, extra }
}
