import { ed25519 } from '@noble/curves/ed25519.js'
import { sha512 } from '@noble/hashes/sha2.js'

/**
 * Whether R, the first half of the signature, is the encoding of [S]B - [k]A (RFC 8032 section 5.1.7, without the cofactor),
 * with S below the group's order, as Go's crypto/ed25519 and OpenSSL have it. @noble's own check multiplies by the
 * cofactor, and so accepts signatures that these refuse. `publicKey` is decoded as they decode it: `ed25519KeyProblem` tells
 * which keys must not get here. False for sizes other than 64 and 32 bytes; never throws.
 */
export function ed25519Verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  if (signature.length !== 64 || publicKey.length !== 32) return false
  // Not at the top of the file: the bundle of Envelope B leaves out what it does not call, and has no curves.
  const { Point } = ed25519
  const { Fn } = Point
  const r = signature.subarray(0, 32)
  const s = littleEndian(signature.subarray(32))
  if (s >= Fn.ORDER) return false
  try {
    const minusA = Point.fromBytes(publicKey, true).negate()
    const hash = sha512.create().update(r).update(publicKey).update(message).digest()
    const k = Fn.create(littleEndian(hash))
    const expected = Point.BASE.multiplyUnsafe(s).add(minusA.multiplyUnsafe(k)).toBytes()
    return expected.every((byte, i) => byte === r[i])
  } catch {
    // The key is no point of the curve.
    return false
  }
}

function littleEndian(bytes: Uint8Array): bigint {
  let number = 0n
  for (let i = bytes.length - 1; i >= 0; i--) number = (number << 8n) | BigInt(bytes[i]!)
  return number
}
