import { decodeBase64, encodeBase64 } from './base64.ts'
import { TlogError, quote } from './errors.ts'
import { decodeUtf8, encodeUtf8 } from './utf8.ts'

/** Conversions between text and bytes. A runtime can pass native ones. */
export interface Codec {
  /** Encodes UTF-8. @throws TlogError `utf8` for a lone surrogate */
  utf8Encode(text: string): Uint8Array
  /** Decodes strict UTF-8, and keeps a byte order mark. @throws TlogError `utf8` */
  utf8Decode(bytes: Uint8Array): string
  /** Reports whether the bytes are strict UTF-8. Absent where decoding is the fastest way to tell. */
  isUtf8?(bytes: Uint8Array): boolean
  /** Decodes ASCII from `start` up to `end`. The caller guarantees that all bytes are ASCII. Absent where utf8Decode() is as fast. */
  asciiDecode?(bytes: Uint8Array, start: number, end: number): string
  /** Encodes ASCII, one byte for each character. The caller guarantees that all characters are ASCII. */
  asciiEncode(text: string): Uint8Array
  /** Encodes canonical base64 with padding (RFC 4648 section 4). */
  base64Encode(bytes: Uint8Array): string
  /** Decodes canonical base64 with padding. @throws TlogError `base64` */
  base64Decode(text: string): Uint8Array
  /** Concatenates the parts in a new array. */
  concat(...parts: readonly Uint8Array[]): Uint8Array
}

/** Encodes ASCII, one byte for each character. */
export function asciiEncode(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}

/** A codec in pure ECMAScript. */
export const pureCodec: Codec = {
  utf8Encode: encodeUtf8,
  utf8Decode: decodeUtf8,
  asciiEncode,
  base64Encode: encodeBase64,
  base64Decode: decodeBase64,
  concat: concatBytes,
}

/** Returns `bytes` in lowercase hexadecimal, two digits for each byte. */
export function hexEncode(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += (byte + 256).toString(16).slice(1)
  return text
}

/** Decodes lowercase hexadecimal. @throws TlogError `hex` */
export function hexDecode(text: string): Uint8Array {
  if (text.length % 2 !== 0 || /[^0-9a-f]/.test(text)) {
    throw new TlogError(
      'hex',
      `expected lowercase hexadecimal with two digits for each byte, found ${quote(text)}`,
    )
  }
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(text.slice(2 * i, 2 * i + 2), 16)
  return bytes
}

/** Concatenates the parts in a new array. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** Reports whether two arrays have the same bytes. Not for secrets: it stops at the first difference. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
