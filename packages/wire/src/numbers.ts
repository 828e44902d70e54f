/**
 * Numbers as RFC 8785 §3.2.2.3 writes them: the shortest decimal that reads as the same double, and of several the closest
 * (ECMA-262, Number::toString).
 *
 * Engines agree on that but for powers of two, whose lower neighbour is half as far away as their upper one: QuickJS prints some of
 * them with a digit too many. Those are written here, in exact arithmetic; every other number is left to the engine.
 */

const scratch = new Float64Array(1)
const halves = new Uint32Array(scratch.buffer)
/** Which half of a double holds its sign, its exponent and the upper 20 bits of its fraction: it depends on the byte order. */
const UPPER = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? 1 : 0
const FRACTION_BITS = 0xfffff
const EXPONENT_BITS = 0x7ff
const EXPONENT_BIAS = 1023
/** The least exponent of a normal double. */
const LEAST_EXPONENT = -1022

/** Texts of powers of two by exponent: at most one for each of the 2,046 exponents, since to make one takes long. */
const texts = new Map<number, string>()

/**
 * Whether an engine may write this number too long: a power of two that is not a small integer. Subnormal ones have their neighbours at
 * equal distances.
 */
export function needsCare(value: number): boolean {
  return !Number.isSafeInteger(value) && powerOf(value) !== undefined
}

/** The text of a finite number. */
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
 * Whether a JSON number (RFC 8259 §6) keeps its decimal value when it is read as `value` and written by numberText(). The literal's
 * exponent may have any number of digits.
 */
export function keepsValue(literal: string, value: number): boolean {
  if (!Number.isFinite(value)) return false
  const text = numberText(value)
  return text === literal || decimalOf(text) === decimalOf(literal)
}

/** The `e` of a normal double that is 2^e or −2^e. */
function powerOf(value: number): number | undefined {
  scratch[0] = value
  const upper = halves[UPPER] as number
  if (halves[1 - UPPER] !== 0 || (upper & FRACTION_BITS) !== 0) return undefined
  const biased = (upper >>> 20) & EXPONENT_BITS
  return biased === 0 || biased === EXPONENT_BITS ? undefined : biased - EXPONENT_BIAS
}

/**
 * The shortest, then closest, decimal between the points halfway to the neighbours of 2^exponent. The points count, since a tie reads as
 * the double whose fraction is even.
 */
function powerText(exponent: number): string {
  // Everything in units of 2^(exponent − 54), half of the distance to the lower neighbour, times a power of ten where that is a fraction.
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

/** Whether `below` units are closer to the value than one more; of two that are as close, the even one counts. */
function isCloser(below: bigint, value: bigint, unit: bigint): boolean {
  const twice = 2n * (value - below * unit)
  return twice < unit || (twice === unit && below % 2n === 0n)
}

/** ECMA-262, Number::toString, steps 6 to 13: the text of digits × 10^exponent. */
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

/** A number's decimal value in one spelling: sign, digits without zeros at either end, and where the point stands before them. */
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

/** Without the zeros at the end. */
function withoutZeros(digits: string): string {
  let end = digits.length
  while (digits.charCodeAt(end - 1) === ZERO) end--
  return digits.slice(0, end)
}
