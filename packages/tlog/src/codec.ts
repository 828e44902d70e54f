import { decodeBase64, encodeBase64 } from './base64.ts'
import { TlogError, quote } from './errors.ts'
import { decodeUtf8, encodeUtf8 } from './utf8.ts'

/** Text to bytes and back. A runtime that has native ones passes its own. */
export interface Codec {
  /** UTF-8. Throws TlogError `utf8` on a lone surrogate. */
  utf8Encode(text: string): Uint8Array
  /** Strict UTF-8; a byte order mark is kept. Throws TlogError `utf8`. */
  utf8Decode(bytes: Uint8Array): string
  /** One byte a character; the caller guarantees that all are ASCII. */
  asciiEncode(text: string): Uint8Array
  /** Canonical base64 (RFC 4648 section 4, padded). */
  base64Encode(bytes: Uint8Array): string
  /** Throws TlogError `base64` on anything but canonical base64. */
  base64Decode(text: string): Uint8Array
  /** The parts, one after the other, in a new array. */
  concat(...parts: readonly Uint8Array[]): Uint8Array
}

function asciiEncode(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}

/** The codec in ECMAScript alone. */
export const pureCodec: Codec = {
  utf8Encode: encodeUtf8,
  utf8Decode: decodeUtf8,
  asciiEncode,
  base64Encode: encodeBase64,
  base64Decode: decodeBase64,
  concat: concatBytes,
}

/** Lowercase hexadecimal, two digits a byte. */
export function hexEncode(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += (byte + 256).toString(16).slice(1)
  return text
}

/** The bytes of lowercase hexadecimal. Throws TlogError `hex` on anything else. */
export function hexDecode(text: string): Uint8Array {
  if (text.length % 2 !== 0 || /[^0-9a-f]/.test(text)) {
    throw new TlogError('hex', `expected lowercase hexadecimal, two digits a byte, found ${quote(text)}`)
  }
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(text.slice(2 * i, 2 * i + 2), 16)
  return bytes
}

/** The parts, one after the other, in a new array. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** Whether both hold the same bytes. Not for secrets: it stops at the first difference. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
