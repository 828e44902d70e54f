/**
 * Formats numbers by RFC 8785 §3.2.2.3: the shortest decimal that parses as the same double; if there are several, the closest
 * (ECMA-262, Number::toString).
 *
 * Engines agree on this except for powers of two, whose lower neighbor is half as far away as the upper one: QuickJS prints some
 * of them with one digit too many. This file formats those in exact arithmetic, and leaves all other numbers to the engine.
 */

const scratch = new Float64Array(1)
const halves = new Uint32Array(scratch.buffer)
/**
 * The index in `halves` of the half of a double with its sign, its exponent and the upper 20 bits of its fraction. Depends on the byte
 * order.
 */
const UPPER = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? 1 : 0
const FRACTION_BITS = 0xfffff
const EXPONENT_BITS = 0x7ff
const EXPONENT_BIAS = 1023
/** The least exponent of a normal double. */
const LEAST_EXPONENT = -1022

/** Memoizes {@link powerText}, which is slow. There are 2,046 exponents. */
const texts = new Map<number, string>()

/**
 * Reports whether an engine may print too many digits of this number: it is a power of two, and not a safe integer. The
 * neighbors of subnormal numbers are at equal distances, so engines agree on those.
 */
export function needsCare(value: number): boolean {
  return !Number.isSafeInteger(value) && powerOf(value) !== undefined
}

/** Returns the RFC 8785 text of a finite number. */
export function numberText(value: number): string {
  if (Number.isSafeInteger(value)) return value === 0 ? '0' : String(value)
  const exponent = powerOf(value)
  if (exponent === undefined) return String(value)
  const known = texts.get(exponent)
  const text = known ?? powerText(exponent)
  if (known === undefined) texts.set(exponent, text)
  return value < 0 ? `-${text}` : text
}

/**
 * Reports whether a JSON number (RFC 8259 §6), parsed as `value` and formatted by numberText(), keeps its decimal value. The
 * exponent of the literal may have any number of digits.
 */
export function keepsValue(literal: string, value: number): boolean {
  if (!Number.isFinite(value)) return false
  const text = numberText(value)
  return text === literal || decimalOf(text) === decimalOf(literal)
}

/** Returns e for a normal double 2^e or −2^e; undefined for any other number. */
function powerOf(value: number): number | undefined {
  scratch[0] = value
  const upper = halves[UPPER] as number
  if (halves[1 - UPPER] !== 0 || (upper & FRACTION_BITS) !== 0) return undefined
  const biased = (upper >>> 20) & EXPONENT_BITS
  return biased === 0 || biased === EXPONENT_BITS ? undefined : biased - EXPONENT_BIAS
}

/**
 * Returns the shortest decimal, then the closest, between the points halfway to the neighbors of 2^exponent. The points belong to
 * the interval, because a tie parses as the double with the even fraction.
 */
function powerText(exponent: number): string {
  // The unit is 2^(exponent − 54), half the distance to the lower neighbor, scaled by a power of ten if it is a fraction.
  const shift = exponent - 54
  const scale = shift >= 0 ? 1n << BigInt(shift) : 5n ** BigInt(-shift)
  const point = shift >= 0 ? 0 : shift
  const value = scale << 54n
  const low = value - (exponent === LEAST_EXPONENT ? 2n : 1n) * scale
  const high = value + 2n * scale
  const length = String(value).length
  for (let digits = 1; ; digits++) {
    const unit = 10n ** BigInt(length - digits)
    const below = value / unit
    const isBelow = below * unit >= low
    const isAbove = (below + 1n) * unit <= high
    if (!isBelow && !isAbove) continue
    const found = isBelow && (!isAbove || isCloser(below, value, unit)) ? below : below + 1n
    return decimalText(String(found), length - digits + point)
  }
}

/** Reports whether `below` units are closer to the value than `below + 1`. In a tie, the even number wins. */
function isCloser(below: bigint, value: bigint, unit: bigint): boolean {
  const twice = 2n * (value - below * unit)
  return twice < unit || (twice === unit && below % 2n === 0n)
}

/** Returns the text of digits × 10^exponent (ECMA-262, Number::toString, steps 6 to 13). */
function decimalText(digits: string, exponent: number): string {
  const point = digits.length + exponent
  const significant = withoutZeros(digits)
  const length = significant.length
  if (length <= point && point <= 21) return significant.padEnd(point, '0')
  if (point > 0 && point <= 21) return `${significant.slice(0, point)}.${significant.slice(point)}`
  if (point > -6 && point <= 0) return `0.${'0'.repeat(-point)}${significant}`
  const fraction = length === 1 ? '' : `.${significant.slice(1)}`
  return `${significant[0] ?? ''}${fraction}e${point > 0 ? '+' : ''}${point - 1}`
}

/** Returns the decimal value in a normal form: sign, digits without zeros at either end, and the exponent of 0.digits. */
function decimalOf(literal: string): string {
  const isNegative = literal.startsWith('-')
  const mark = literal.search(/[eE]/)
  const end = mark < 0 ? literal.length : mark
  const plain = literal.slice(isNegative ? 1 : 0, end)
  const dot = plain.indexOf('.')
  const whole = dot < 0 ? plain.length : dot
  const digits = dot < 0 ? plain : plain.slice(0, dot) + plain.slice(dot + 1)
  let first = 0
  while (first < digits.length && digits.charCodeAt(first) === ZERO) first++
  if (first === digits.length) return '0'
  const exponent = mark < 0 ? 0 : Number(literal.slice(mark + 1))
  return `${isNegative ? '-' : ''}${withoutZeros(digits.slice(first))}e${whole - first + exponent}`
}

const ZERO = 0x30

/** Removes trailing zeros. */
function withoutZeros(digits: string): string {
  let end = digits.length
  while (digits.charCodeAt(end - 1) === ZERO) end--
  return digits.slice(0, end)
}
