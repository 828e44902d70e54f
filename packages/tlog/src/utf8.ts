import { TlogError } from './errors.ts'

// Strict UTF-8 (RFC 3629): rejects lone surrogates, overlong forms and code points above U+10FFFF; keeps a byte order mark.

/** Encodes UTF-8. @throws TlogError `utf8` for a lone surrogate */
export function encodeUtf8(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 3)
  let at = 0
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) {
      bytes[at++] = unit
    } else if (unit < 0x800) {
      bytes[at++] = 0xc0 | (unit >> 6)
      bytes[at++] = 0x80 | (unit & 63)
    } else if (unit < 0xd800 || unit > 0xdfff) {
      bytes[at++] = 0xe0 | (unit >> 12)
      bytes[at++] = 0x80 | ((unit >> 6) & 63)
      bytes[at++] = 0x80 | (unit & 63)
    } else {
      const point = surrogatePair(unit, text.charCodeAt(++i), i - 1)
      bytes[at++] = 0xf0 | (point >> 18)
      bytes[at++] = 0x80 | ((point >> 12) & 63)
      bytes[at++] = 0x80 | ((point >> 6) & 63)
      bytes[at++] = 0x80 | (point & 63)
    }
  }
  return bytes.slice(0, at)
}

function surrogatePair(high: number, low: number, at: number): number {
  if (high > 0xdbff || !(low >= 0xdc00 && low <= 0xdfff)) {
    throw new TlogError('utf8', `expected well-formed text, found a lone surrogate at ${at}`)
  }
  return 0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff)
}

const BLOCK = 4096

/** Decodes strict UTF-8. @throws TlogError `utf8` */
export function decodeUtf8(bytes: Uint8Array): string {
  let text = ''
  let units: number[] = []
  for (let at = 0; at < bytes.length;) {
    const first = bytes[at]!
    if (first < 0x80) {
      units.push(first)
      at++
    } else {
      const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0
      const point = decodeSequence(bytes, at, length)
      if (point < 0x10000) units.push(point)
      else units.push(0xd7c0 + (point >> 10), 0xdc00 | (point & 0x3ff))
      at += length
    }
    if (units.length >= BLOCK) {
      text += String.fromCharCode(...units)
      units = []
    }
  }
  return text + String.fromCharCode(...units)
}

function decodeSequence(bytes: Uint8Array, at: number, length: number): number {
  let point = bytes[at]! & (0x7f >> length)
  let valid = length > 0
  for (let i = 1; i < length; i++) {
    const next = bytes[at + i] ?? 0
    valid &&= (next & 0xc0) === 0x80
    point = (point << 6) | (next & 63)
  }
  if (length === 3) valid &&= point >= 0x800 && (point < 0xd800 || point > 0xdfff)
  if (length === 4) valid &&= point >= 0x10000 && point <= 0x10ffff
  if (!valid) throw new TlogError('utf8', `expected UTF-8, found byte 0x${bytes[at]!.toString(16)} at ${at}`)
  return point
}
