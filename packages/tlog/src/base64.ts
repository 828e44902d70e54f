import { TlogError, quote } from './errors.ts'

// Canonical base64 with padding: RFC 4648 section 4, with unused bits zero (section 3.5).

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const NOT_ALPHABET = /[^A-Za-z0-9+/]/
/** Characters whose lowest two bits are zero, which may precede a single `=`. */
const BEFORE_ONE = 'AEIMQUYcgkosw048'
/** Characters whose lowest four bits are zero, which may precede `==`. */
const BEFORE_TWO = 'AQgw'

const PAIRS: string[] = []
for (const high of ALPHABET) for (const low of ALPHABET) PAIRS.push(high + low)

const VALUES = new Uint8Array(128)
for (let i = 0; i < 64; i++) VALUES[ALPHABET.charCodeAt(i)] = i

/** Reports whether `line` is canonical base64 with padding. Scans it without decoding it. */
export function isCanonicalBase64(line: string): boolean {
  const length = line.length
  if (length % 4 !== 0) return false
  const stop = line.search(NOT_ALPHABET)
  if (stop === -1) return true
  if (stop < length - 2 || line[length - 1] !== '=') return false
  if (stop === length - 1) return BEFORE_ONE.includes(line[length - 2]!)
  return line[length - 2] === '=' && BEFORE_TWO.includes(line[length - 3]!)
}

/** Returns the number of bytes that the canonical base64 `line` decodes to. */
export function base64Length(line: string): number {
  const length = (line.length / 4) * 3
  if (line.endsWith('==')) return length - 2
  return line.endsWith('=') ? length - 1 : length
}

/** Returns `bytes` in canonical base64 with padding. */
export function encodeBase64(bytes: Uint8Array): string {
  const whole = bytes.length - (bytes.length % 3)
  let text = ''
  for (let i = 0; i < whole; i += 3) {
    const group = (bytes[i]! << 16) | (bytes[i + 1]! << 8) | bytes[i + 2]!
    text += PAIRS[group >> 12]! + PAIRS[group & 4095]!
  }
  if (bytes.length - whole === 1) return `${text}${PAIRS[bytes[whole]! << 4]!}==`
  if (bytes.length - whole === 2) {
    const group = (bytes[whole]! << 10) | (bytes[whole + 1]! << 2)
    return `${text}${PAIRS[group >> 6]!}${ALPHABET[group & 63]!}=`
  }
  return text
}

/** Decodes canonical base64. @throws TlogError `base64` */
export function decodeBase64(line: string): Uint8Array {
  if (!isCanonicalBase64(line))
    throw new TlogError('base64', `expected canonical base64, found ${quote(line)}`)
  const bytes = new Uint8Array(base64Length(line))
  decodeBase64Into(line, bytes, 0)
  return bytes
}

/** Decodes `line` into `bytes` at `offset`. The caller has checked that `line` is canonical base64. */
export function decodeBase64Into(line: string, bytes: Uint8Array, offset: number): void {
  const end = offset + base64Length(line)
  for (let i = 0, at = offset; at < end; i += 4) {
    const group =
      (VALUES[line.charCodeAt(i)]! << 18) |
      (VALUES[line.charCodeAt(i + 1)]! << 12) |
      (VALUES[line.charCodeAt(i + 2)]! << 6) |
      VALUES[line.charCodeAt(i + 3)]!
    bytes[at++] = group >> 16
    if (at < end) bytes[at++] = group >> 8
    if (at < end) bytes[at++] = group
  }
}
