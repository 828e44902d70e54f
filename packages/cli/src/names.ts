/** Names of files, which need not be UTF-8. */
import { isUtf8 } from 'node:buffer'

/**
 * The text of a name. Each byte that belongs to no UTF-8 character is the surrogate U+DC00 plus the byte, as in Python (PEP 383): so
 * no two names have one text, and JSON and `quoted` show them as \udcff.
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

/** Bytes of the UTF-8 character that begins there; 0 where none does. */
function characterAt(bytes: Buffer, at: number): number {
  for (let length = 1; length <= 4; length++) if (isUtf8(bytes.subarray(at, at + length))) return length
  return 0
}
