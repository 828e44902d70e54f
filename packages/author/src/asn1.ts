/** Reads ASN.1 in DER within bounds: asn1js decodes the bytes, and the functions of this file check the shape of the values. */
import { fromBER, ObjectIdentifier, type BaseBlock } from 'asn1js'
import { SignatureError } from './errors.ts'

/** A decoded ASN.1 value. */
export type Node = BaseBlock

/** The bounds of one input. A real signature nests about 14 levels deep and has a few hundred values. */
const LIMITS = { maxDepth: 32, maxNodes: 4000, maxContentLength: 65_536, parseEmbedded: false }

/** Tag numbers of the universal class (X.680). */
export const TAG = {
  boolean: 1,
  integer: 2,
  bitString: 3,
  octetString: 4,
  null: 5,
  oid: 6,
  sequence: 16,
  set: 17,
  utcTime: 23,
  generalizedTime: 24,
} as const

const UNIVERSAL = 1
const CONTEXT = 3

/** Decodes one value that fills `bytes`. `what` names it in errors. @throws SignatureError */
export function decode(bytes: Uint8Array, what: string): Node {
  let parsed: ReturnType<typeof fromBER>
  try {
    // Decode a copy: asn1js would read the whole pool of a Buffer that is a view.
    parsed = fromBER(new Uint8Array(bytes), LIMITS)
  } catch (error) {
    throw new SignatureError(`${what}: expected ASN.1 in DER, found invalid bytes`, error)
  }
  if (parsed.offset !== bytes.length)
    throw new SignatureError(`${what}: expected ASN.1 in DER, found ${parsed.result.error || 'other bytes'}`)
  // asn1js also accepts BER, and lengths that contradict each other. Encode the values again to detect both.
  if (Buffer.compare(new Uint8Array(parsed.result.toBER()), bytes) !== 0)
    throw new SignatureError(`${what}: expected ASN.1 in DER, found another encoding`)
  return parsed.result
}

/** Returns the bytes of a value with its tag and length. */
export function rawOf(node: Node): Uint8Array {
  return node.valueBeforeDecodeView
}

export function isUniversal(node: Node | undefined, tag: number): boolean {
  return node?.idBlock.tagClass === UNIVERSAL && node.idBlock.tagNumber === tag
}

/** Reports whether a value has the context-specific tag `[tag]`. */
export function isTagged(node: Node | undefined, tag: number): boolean {
  return node?.idBlock.tagClass === CONTEXT && node.idBlock.tagNumber === tag
}

/** Returns the elements of a constructed value. @throws SignatureError */
export function children(node: Node | undefined, what: string): readonly Node[] {
  const value: unknown = (node?.valueBlock as { value?: unknown } | undefined)?.value
  if (node?.idBlock.isConstructed !== true || !Array.isArray(value))
    throw new SignatureError(`${what}: expected a constructed value`)
  return value as Node[]
}

/** Returns the elements of a SEQUENCE or SET. @throws SignatureError */
export function elements(
  node: Node | undefined,
  tag: typeof TAG.sequence | typeof TAG.set,
  what: string,
): readonly Node[] {
  if (!isUniversal(node, tag))
    throw new SignatureError(`${what}: expected a ${tag === TAG.set ? 'SET' : 'SEQUENCE'}`)
  return children(node, what)
}

/** Returns an OBJECT IDENTIFIER as dotted decimal. @throws SignatureError */
export function oidOf(node: Node | undefined, what: string): string {
  if (node instanceof ObjectIdentifier) return node.getValue()
  throw new SignatureError(`${what}: expected an OBJECT IDENTIFIER`)
}

/** Returns the bytes of a primitive value of the type `tag`. @throws SignatureError */
export function contentOf(node: Node | undefined, tag: number, what: string): Uint8Array {
  if (node === undefined || !isUniversal(node, tag) || node.idBlock.isConstructed)
    throw new SignatureError(`${what}: expected a primitive value of type ${tag}`)
  return primitive(node)
}

/** Returns the bytes of a primitive value, whatever its tag. */
export function primitive(node: Node): Uint8Array {
  const raw = rawOf(node)
  // The value follows its tag and its length. The tag takes one byte, because all tag numbers used here are below 31.
  const first = raw[1] ?? 0
  return raw.subarray(first < 0x80 ? 2 : 2 + (first & 0x7f))
}

/** Returns a small INTEGER that is not negative. @throws SignatureError */
export function smallInteger(node: Node | undefined, what: string): number {
  const bytes = contentOf(node, TAG.integer, what)
  if (bytes.length === 0 || bytes.length > 4 || (bytes[0] as number) >= 0x80)
    throw new SignatureError(`${what}: expected an integer from 0 to 2^31 - 1`)
  let value = 0
  for (const byte of bytes) value = value * 256 + byte
  return value
}

const UTC_TIME = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/
const GENERALIZED_TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/

/** Returns a UTCTime or GeneralizedTime of the DER form (RFC 5280 §4.1.2.5) as RFC 3339 with milliseconds. @throws SignatureError */
export function timeOf(node: Node | undefined, what: string): string {
  const isUtc = isUniversal(node, TAG.utcTime)
  const bytes = contentOf(node, isUtc ? TAG.utcTime : TAG.generalizedTime, what)
  const [, year = '', ...rest] =
    (isUtc ? UTC_TIME : GENERALIZED_TIME).exec(String.fromCharCode(...bytes.subarray(0, 20))) ?? []
  const [month, day, hour, minute, second] = rest
  const whole = isUtc ? `${Number(year) < 50 ? '20' : '19'}${year}` : year
  const text = `${whole}-${month}-${day}T${hour}:${minute}:${second}.000Z`
  const date = new Date(text)
  if (rest.length !== 5 || Number.isNaN(date.getTime()) || date.toISOString() !== text)
    throw new SignatureError(`${what}: expected a time in UTC without fractions of a second`)
  return text
}
