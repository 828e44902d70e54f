import { ed25519 } from '@noble/curves/ed25519.js'
import { sha512 } from '@noble/hashes/sha2.js'

/**
 * Verifies an Ed25519 signature of 64 bytes with a public key of 32 bytes, as Go's crypto/ed25519 and OpenSSL do: R, the first
 * half, must encode [S]B - [k]A, with S below the order of the group (RFC 8032 section 5.1.7, without the cofactor). The check of
 * @noble/curves multiplies by the cofactor, so it accepts signatures that Go and OpenSSL reject. The caller rejects weak keys
 * with
 * `ed25519KeyProblem`. Returns false for other sizes. Never throws.
 */
export function ed25519Verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  if (signature.length !== 64 || publicKey.length !== 32) return false
  // Created on demand, so that the bundle of Envelope B, which does not call this function, contains no curves.
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
    // The key encodes no point of the curve.
    return false
  }
}

function littleEndian(bytes: Uint8Array): bigint {
  let number = 0n
  for (let i = bytes.length - 1; i >= 0; i--) number = (number << 8n) | BigInt(bytes[i]!)
  return number
}
