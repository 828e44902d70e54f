// Which 32 bytes may be an Ed25519 public key: canonical encodings (RFC 8032 section 5.1.2) of points whose order is not small.

/** RFC 8032 section 5.1. */
const P = 2n ** 255n - 19n
/** -121665/121666. */
const D = 0x52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3n

/** One of the two y of the points of order 8. */
const Y8 = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n
/** The y of the points of order 1, 2, 4 and 8. Under such a key anybody can make signatures, over any text. */
const LOW_ORDER: ReadonlySet<bigint> = new Set([0n, 1n, P - 1n, Y8, P - Y8])

/** Why these 32 bytes are refused as a public key, to follow "found"; undefined: they are not. */
export function ed25519KeyProblem(publicKey: Uint8Array): string | undefined {
  const y = yOf(publicKey)
  if (y >= P) return 'a non-canonical encoding'
  if (LOW_ORDER.has(y)) return 'a low-order point'
  return isOnCurve(y) ? undefined : 'bytes that encode no point'
}

/** Little-endian, without the highest bit: that is the sign of x. */
function yOf(publicKey: Uint8Array): bigint {
  let y = BigInt(publicKey[31]! & 0x7f)
  for (let i = 30; i >= 0; i--) y = (y << 8n) | BigInt(publicKey[i]!)
  return y
}

/** Whether x² = (y² - 1) / (dy² + 1) has a solution: by Euler's criterion, since a quotient is a square where the product is. */
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
