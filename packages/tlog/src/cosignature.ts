import { parseCheckpointText, type Checkpoint } from './checkpoint.ts'
import { concatBytes, pureCodec, type Codec } from './codec.ts'
import { TlogError, quote } from './errors.ts'
import { hashBytes, type Hash } from './hash.ts'
import { bitLength, divPow2, isSize, modPow2 } from './math.ts'

// c2sp.org/tlog-cosignature: a statement of a cosigner that a checkpoint, or a subtree, is consistent with all it saw.

/** `timestamped_signature`: what follows the key id in the signature line of types 0x04 and 0x06. */
export interface TimestampedSignature {
  /** POSIX seconds. The format allows times up to 2^63 - 1; those above 2^53 - 1 are refused as lying in the future. */
  timestamp: number
  /** 64 bytes (Ed25519) or 2420 bytes (ML-DSA-44). */
  signature: Uint8Array
}

/** The size of an Ed25519 signature. */
export const ED25519_SIGNATURE_SIZE = 64
/** The size of an ML-DSA-44 signature (FIPS 204). */
export const MLDSA44_SIGNATURE_SIZE = 2420

/** Reads a `timestamped_signature` whose signature has exactly `size` bytes. Throws TlogError `cosignature`. */
export function parseTimestampedSignature(bytes: Uint8Array, size: number): TimestampedSignature {
  if (bytes.length !== 8 + size) {
    throw new TlogError(
      'cosignature',
      `expected ${8 + size} bytes of time and signature, found ${bytes.length}`,
    )
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, 8)
  const timestamp = view.getUint32(0) * 2 ** 32 + view.getUint32(4)
  checkTimestamp(timestamp)
  return { timestamp, signature: bytes.subarray(8) }
}

/** The bytes of a `timestamped_signature`. Throws TlogError `cosignature`. */
export function formatTimestampedSignature(value: TimestampedSignature): Uint8Array {
  checkTimestamp(value.timestamp)
  return concatBytes(uint64(value.timestamp), value.signature)
}

function checkTimestamp(timestamp: number): void {
  if (!isSize(timestamp)) {
    throw new TlogError('cosignature', `expected a time between 0 and 2^53 - 1 seconds, found ${timestamp}`)
  }
}

/** What an Ed25519 cosigner (0x04) signs: two header lines and the whole checkpoint text. Throws TlogError. */
export function ed25519CosignatureMessage(
  timestamp: number,
  text: string,
  codec: Codec = pureCodec,
): Uint8Array {
  checkTimestamp(timestamp)
  parseCheckpointText(text)
  return codec.utf8Encode(`cosignature/v1\ntime ${timestamp}\n${text}`)
}

/** `cosigned_message`: what an ML-DSA-44 cosigner (0x06) states about the entries [start, end) of a log. */
export interface CosignedSubtree {
  /** The cosigner's key name: 1 to 255 bytes of UTF-8. */
  cosigner: string
  /** POSIX seconds; 0 when nothing is said about the tree being the largest seen. */
  timestamp: number
  /** The log's origin: 1 to 255 bytes of UTF-8. */
  origin: string
  /** 0 for a checkpoint; a multiple of the smallest power of two that is not less than `end - start` for a subtree. */
  start: number
  /** The tree size for a checkpoint. */
  end: number
  /** The root hash of the subtree. */
  hash: Hash
}

/** The bytes that are signed for a subtree. Throws TlogError `cosignature` when the specification does not allow it. */
export function subtreeMessage(subtree: CosignedSubtree, codec: Codec = pureCodec): Uint8Array {
  const { timestamp, start, end } = subtree
  checkTimestamp(timestamp)
  if (!isSubtree(start, end)) {
    throw new TlogError('cosignature', `expected a checkpoint from 0 or a subtree, found [${start}, ${end})`)
  }
  if (start !== 0 && timestamp !== 0) {
    throw new TlogError('cosignature', `expected time 0 for a subtree from ${start}, found ${timestamp}`)
  }
  return concatBytes(
    codec.asciiEncode('subtree/v1\n\0'),
    opaque(subtree.cosigner, 'cosigner name', codec),
    uint64(timestamp),
    opaque(subtree.origin, 'origin', codec),
    uint64(start),
    uint64(end),
    hashBytes(subtree.hash),
  )
}

/** What an ML-DSA-44 cosigner (0x06) signs for a checkpoint: its extension lines are not part of it. Throws TlogError. */
export function checkpointCosignatureMessage(
  cosigner: string,
  timestamp: number,
  checkpoint: Checkpoint,
  codec: Codec = pureCodec,
): Uint8Array {
  const { origin, size, root } = checkpoint
  return subtreeMessage({ cosigner, timestamp, origin, start: 0, end: size, hash: root }, codec)
}

/** draft-ietf-plants-merkle-tree-certs, "Subtrees"; and [0, 0), the empty checkpoint. */
function isSubtree(start: number, end: number): boolean {
  if (!isSize(start) || !isSize(end)) return false
  if (start === 0) return true
  return start < end && modPow2(start, bitLength(end - start - 1)) === 0
}

/** `opaque<1..2^8-1>` (RFC 8446 section 3.4). */
function opaque(text: string, what: string, codec: Codec): Uint8Array {
  const bytes = codec.utf8Encode(text)
  if (bytes.length < 1 || bytes.length > 255) {
    throw new TlogError(
      'cosignature',
      `expected a ${what} of 1 to 255 bytes, found ${bytes.length}: ${quote(text)}`,
    )
  }
  return concatBytes(new Uint8Array([bytes.length]), bytes)
}

function uint64(n: number): Uint8Array {
  const bytes = new Uint8Array(8)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, divPow2(n, 32))
  view.setUint32(4, modPow2(n, 32))
  return bytes
}
