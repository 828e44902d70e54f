/** Shows the start of a record's content as text. */
import { visibleText } from '@service-fs/format/visible'

const TEXT_BYTES = 65_536
const BINARY_BYTES = 1024

export interface Preview {
  caption: string
  text: string
}

/** Returns the start of a record's content: as text if it is UTF-8 without control characters, otherwise in hexadecimal. */
export function preview(content: Uint8Array): Preview {
  const start = content.subarray(0, TEXT_BYTES)
  const text = decoded(start, content.length > TEXT_BYTES)
  if (text !== undefined)
    return { caption: extent(content.length, start.length, 'The content'), text: visibleText(text) }
  const bytes = content.subarray(0, BINARY_BYTES)
  const lines: string[] = []
  for (let at = 0; at < bytes.length; at += 16) lines.push(hexLine(bytes.subarray(at, at + 16), at))
  return {
    caption: extent(content.length, bytes.length, 'The content in hexadecimal'),
    text: lines.join('\n'),
  }
}

function extent(length: number, shown: number, what: string): string {
  return shown < length ? `${what}, first ${shown} of ${length} bytes` : `${what}, ${length} bytes`
}

function decoded(bytes: Uint8Array, isCut: boolean): string | undefined {
  try {
    // The end of the shown bytes may divide a character, which a streaming decoder omits.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: isCut })
    // oxlint-disable-next-line no-control-regex
    return /[\0-\x08\x0e-\x1f]/.test(text) ? undefined : text
  } catch {
    return undefined
  }
}

function hexLine(bytes: Uint8Array, at: number): string {
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
  const ascii = [...bytes]
    .map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.'))
    .join('')
  return `${at.toString(16).padStart(6, '0')}  ${hex.padEnd(47)}  ${ascii}`
}
