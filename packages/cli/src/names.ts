/** Converts file names, which need not be UTF-8, to text and back. */
import { isUtf8 } from 'node:buffer'

/**
 * Returns a name as text. A byte that is not part of a UTF-8 character becomes the surrogate U+DC00 plus the byte, as in Python
 * (PEP 383). So different names have different texts, and JSON and `quoted` show such a byte as \udcff.
 */
export function nameOf(name: Uint8Array | string): string {
  if (typeof name === 'string') return name
  const bytes = Buffer.from(name.buffer, name.byteOffset, name.byteLength)
  if (isUtf8(bytes)) return bytes.toString()
  let text = ''
  for (let at = 0; at < bytes.length;) {
    const length = characterAt(bytes, at)
    text +=
      length === 0 ? String.fromCharCode(0xdc00 + (bytes[at] ?? 0)) : bytes.toString('utf8', at, at + length)
    at += Math.max(length, 1)
  }
  return text
}

/** Returns the length in bytes of the UTF-8 character at an offset; 0 if there is none. */
function characterAt(bytes: Buffer, at: number): number {
  for (let length = 1; length <= 4; length++) if (isUtf8(bytes.subarray(at, at + length))) return length
  return 0
}
