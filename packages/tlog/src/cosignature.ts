import { parseCheckpointText, type Checkpoint } from './checkpoint.ts'
import { concatBytes, pureCodec, type Codec } from './codec.ts'
import { TlogError, quote } from './errors.ts'
import { hashBytes, type Hash } from './hash.ts'
import { bitLength, divPow2, isSize, modPow2 } from './math.ts'

// Cosignatures: c2sp.org/tlog-cosignature. A cosigner states that a checkpoint, or a subtree, is consistent with every tree of the log that
// it has seen.

/** `timestamped_signature`: the bytes after the key id in a signature line of type 0x04 or 0x06. */
export interface TimestampedSignature {
  /** POSIX seconds, up to 2^53 - 1. The format allows 2^63 - 1. */
  timestamp: number
  /** 64 bytes (Ed25519) or 2420 bytes (ML-DSA-44). */
  signature: Uint8Array
}

/** The number of bytes of an Ed25519 signature. */
export const ED25519_SIGNATURE_SIZE = 64
/** The number of bytes of an ML-DSA-44 signature (FIPS 204). */
export const MLDSA44_SIGNATURE_SIZE = 2420

/** Parses a `timestamped_signature` with a signature of exactly `size` bytes. @throws TlogError `cosignature` */
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

/** Formats a `timestamped_signature`. @throws TlogError `cosignature` */
export function formatTimestampedSignature(value: TimestampedSignature): Uint8Array {
  checkTimestamp(value.timestamp)
  return concatBytes(uint64(value.timestamp), value.signature)
}

function checkTimestamp(timestamp: number): void {
  if (!isSize(timestamp)) {
    throw new TlogError('cosignature', `expected a time between 0 and 2^53 - 1 seconds, found ${timestamp}`)
  }
}

/**
 * Returns the bytes that an Ed25519 cosigner (0x04) signs: two header lines and the complete checkpoint text.
 * @throws TlogError `cosignature` for the time, `checkpoint` for the text
 */
export function ed25519CosignatureMessage(
  timestamp: number,
  text: string,
  codec: Codec = pureCodec,
): Uint8Array {
  checkTimestamp(timestamp)
  parseCheckpointText(text)
  return codec.utf8Encode(`cosignature/v1\ntime ${timestamp}\n${text}`)
}

/** `cosigned_message`: the statement of an ML-DSA-44 cosigner (0x06) about the entries [start, end) of a log. */
export interface CosignedSubtree {
  /** The cosigner's key name: 1 to 255 bytes of UTF-8. */
  cosigner: string
  /** POSIX seconds; 0 if the cosigner states nothing about larger trees. */
  timestamp: number
  /** The log's origin: 1 to 255 bytes of UTF-8. */
  origin: string
  /**
   * The index of the first entry. For a checkpoint it is 0. For a subtree it is a multiple of the smallest power of two that is at least
   * `end - start`.
   */
  start: number
  /** The index after the last entry. For a checkpoint it is the tree size. */
  end: number
  /** The root hash of the subtree. */
  hash: Hash
}

/** Returns the bytes that a cosigner signs for a subtree. @throws TlogError `cosignature` if the specification forbids it */
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

/**
 * Returns the bytes that an ML-DSA-44 cosigner (0x06) signs for a checkpoint. The bytes do not include the extension lines of the
 * checkpoint.
 * @throws TlogError `cosignature`
 */
export function checkpointCosignatureMessage(
  cosigner: string,
  timestamp: number,
  checkpoint: Checkpoint,
  codec: Codec = pureCodec,
): Uint8Array {
  const { origin, size, root } = checkpoint
  return subtreeMessage({ cosigner, timestamp, origin, start: 0, end: size, hash: root }, codec)
}

/** Reports whether [start, end) is a subtree (draft-ietf-plants-merkle-tree-certs, "Subtrees") or a checkpoint. */
function isSubtree(start: number, end: number): boolean {
  if (!isSize(start) || !isSize(end)) return false
  if (start === 0) return true
  return start < end && modPow2(start, bitLength(end - start - 1)) === 0
}

/** Encodes `opaque<1..2^8-1>` (RFC 8446 section 3.4). `what` names it in the error. */
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
