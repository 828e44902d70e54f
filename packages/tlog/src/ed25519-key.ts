// Checks Ed25519 public keys: 32 bytes that are the canonical encoding (RFC 8032 section 5.1.2) of a point not of low order.

/** RFC 8032 section 5.1. */
const P = 2n ** 255n - 19n
/** -121665/121666. */
const D = 0x52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3n

/** One of the two y coordinates of the points of order 8. */
const Y8 = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n
/** The y coordinates of the points of order 1, 2, 4 and 8. For such a key, anyone can sign any text without a private key. */
const LOW_ORDER: ReadonlySet<bigint> = new Set([0n, 1n, P - 1n, Y8, P - Y8])

/** Returns why a public key of 32 bytes is invalid, as text to follow "found"; undefined if it is valid. */
export function ed25519KeyProblem(publicKey: Uint8Array): string | undefined {
  const y = yOf(publicKey)
  if (y >= P) return 'a non-canonical encoding'
  if (LOW_ORDER.has(y)) return 'a low-order point'
  return isOnCurve(y) ? undefined : 'bytes that encode no point'
}

/** Decodes y: little-endian, without the highest bit, which is the sign of x. */
function yOf(publicKey: Uint8Array): bigint {
  let y = BigInt(publicKey[31]! & 0x7f)
  for (let i = 30; i >= 0; i--) y = (y << 8n) | BigInt(publicKey[i]!)
  return y
}

/**
 * Reports whether x² = (y² - 1) / (dy² + 1) has a solution. Uses Euler's criterion on the product, because a quotient is a square
 * if and only if the product is.
 */
function isOnCurve(y: bigint): boolean {
  const square = (y * y) % P
  const product = ((square - 1n) * (D * square + 1n)) % P
  return power((product + P) % P, (P - 1n) / 2n) === 1n
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n
  for (let factor = base, left = exponent; left > 0n; left >>= 1n) {
    if ((left & 1n) === 1n) result = (result * factor) % P
    factor = (factor * factor) % P
  }
  return result
}
