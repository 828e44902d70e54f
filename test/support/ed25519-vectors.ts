/**
 * Ed25519 signatures on which verifiers differ: A and R of low order, with a low-order component, and in
 * non-canonical encodings; S beyond the group's order. The construction is that of C2SP's CCTV (ed25519) and of
 * Henry de Valence's "It's 255:19AM. Do you know what your validation criteria are?". The construction gives the
 * expected verdict, by the rule of Go's crypto/ed25519: R is the encoding of [S]B - [k]A, and S is below the order.
 */
import { createHash } from 'node:crypto'
import { ed25519 } from '@noble/curves/ed25519.js'

export interface Vector {
  /** A description for the failure message. */
  what: string
  key: Buffer
  message: Buffer
  signature: Buffer
  valid: boolean
}

const { Point } = ed25519
type Point = InstanceType<typeof Point>
const L = Point.Fn.ORDER

/** The eight points of small order: the nth is n times the second. */
const TORSION: readonly Point[] = (() => {
  const one = Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05')
  const all = [Point.ZERO]
  for (let n = 1; n < 8; n++) all.push((all[n - 1] as Point).add(one))
  return all
})()

/** The encodings of these points that RFC 8032 refuses: a y of 2^255 - 19 or more, or a sign bit for an x of zero. */
const NON_CANONICAL = [
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  '0100000000000000000000000000000000000000000000000000000000000080',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
]

/** A point: The encoding of `scalar` times the base point plus the `torsion`th point of small order. */
interface Encoded {
  scalar: bigint
  torsion: number
  bytes: Buffer
  isCanonical: boolean
}

const nonCanonical: readonly Encoded[] = NON_CANONICAL.map((hex) => {
  const point = Point.fromHex(hex, true)
  const torsion = TORSION.findIndex((each) => each.equals(point))
  return { scalar: 0n, torsion, bytes: Buffer.from(hex, 'hex'), isCanonical: false }
})

function encoded(scalar: bigint): Encoded[] {
  return TORSION.map((point, torsion) => ({
    scalar,
    torsion,
    bytes: Buffer.from(Point.BASE.multiplyUnsafe(scalar).add(point).toBytes()),
    isCanonical: true,
  }))
}

/** The keys that must be refused when they are read. */
export const REFUSED_KEYS: readonly Buffer[] = [...encoded(0n), ...nonCanonical].map(({ bytes }) => bytes)

const number = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
const scalarBytes = (value: bigint): Buffer =>
  Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse()

function challenge(r: Uint8Array, key: Uint8Array, message: Uint8Array): bigint {
  return number(createHash('sha512').update(r).update(key).update(message).digest()) % L
}

/** A short search suffices: the low-order components vanish for one message in eight. */
const MOST_TRIES = 400

/** Up to two vectors: in one the low-order components cancel, in the other they do not. */
function pair(a: Encoded, r: Encoded): Vector[] {
  const found = new Map<boolean, Vector>()
  for (let n = 0; n < MOST_TRIES && found.size < 2; n++) {
    const message = Buffer.from(`message ${n}`)
    const k = challenge(r.bytes, a.bytes, message)
    const cancels = (BigInt(r.torsion) + k * BigInt(a.torsion)) % 8n === 0n
    if (found.has(cancels)) continue
    found.set(cancels, {
      what: `A ${name(a)}, R ${name(r)}, ${cancels ? 'nothing' : 'something'} of low order left`,
      key: a.bytes,
      message,
      signature: Buffer.concat([r.bytes, scalarBytes((r.scalar + k * a.scalar) % L)]),
      valid: cancels && r.isCanonical,
    })
  }
  return [...found.values()]
}

function name({ scalar, torsion, isCanonical }: Encoded): string {
  return `${scalar === 0n ? 'low' : 'mixed'} ${torsion}${isCanonical ? '' : ' non-canonical'}`
}

/** S plus a multiple of the order: the same scalar, but a different signature. */
function beyond(vector: Vector): Vector[] {
  const { signature, what } = vector
  const s = number(signature.subarray(32))
  const multiples = [1n, 2n, 8n, 15n].map((times) => s + times * L).filter((value) => value < 2n ** 256n)
  return multiples.map((value) => ({
    ...vector,
    what: `${what}, S + ${(value - s) / L}L`,
    signature: Buffer.concat([signature.subarray(0, 32), scalarBytes(value)]),
    valid: false,
  }))
}

/** Signed over the canonical encodings of the key and R, instead of their actual bytes. */
function reencoded(a: Encoded, r: Encoded): Vector[] {
  if (r.isCanonical || a.scalar === 0n) return []
  const message = Buffer.from('reencoded')
  const k = challenge((TORSION[r.torsion] as Point).toBytes(), a.bytes, message)
  const signature = Buffer.concat([r.bytes, scalarBytes((r.scalar + k * a.scalar) % L)])
  return [{ what: `A ${name(a)}, R ${name(r)}, re-encoded`, key: a.bytes, message, signature, valid: false }]
}

/** A case with one bit flipped: in the signature, in the key or in the message. */
function turned(vector: Vector): Vector[] {
  const all: Vector[] = []
  for (const field of ['key', 'message', 'signature'] as const) {
    for (const bit of [0, 5, 60, 255]) {
      const bytes = Buffer.from(vector[field])
      const at = (bit >> 3) % bytes.length
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7))
      all.push({ ...vector, what: `${field} with bit ${bit} turned`, [field]: bytes, valid: false })
    }
  }
  return all
}

const points = (scalar: bigint): Encoded[] => [...encoded(0n), ...nonCanonical, ...encoded(scalar)]
const A = points(0x3f1d_7a11_9c5e_0042_7777_1234_abcd_ef01n)
const R = points(0x0badc0de_00c0ffee_5eed_1dea_9876_5432_10n)
const ordinary = pair(encoded(12345n)[0] as Encoded, encoded(54321n)[0] as Encoded)

/** About 850 vectors. */
export const VECTORS: readonly Vector[] = [
  ...A.flatMap((a) => R.flatMap((r) => [...pair(a, r), ...reencoded(a, r)])),
  ...pair(A[0] as Encoded, R[0] as Encoded).flatMap(beyond),
  ...pair(A.at(-1) as Encoded, R.at(-1) as Encoded).flatMap(beyond),
  ...ordinary,
  ...ordinary.flatMap(beyond),
  ...ordinary.flatMap(turned),
]
