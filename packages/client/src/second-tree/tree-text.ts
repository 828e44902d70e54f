/** Parses the checkpoint and the hash tiles of second trees, whose hashes may have more than 32 bytes. */
import { nativeCodec, nativeCrypto } from '@service-fs/native/native'
import type { Hash } from '@service-fs/tlog/hash'
import { verifierFromVkey } from '@service-fs/tlog/keys'
import { parseDecimal } from '@service-fs/tlog/math'
import { openNote } from '@service-fs/tlog/note'
import { TILE_WIDTH } from '@service-fs/tlog/tile'

// Decoding as `latin1` never fails, so that the error below can name the line of a byte that is not base64. Browsers support `latin1`, too.
const oneCharacterPerByte = new TextDecoder('latin1')

/** The checkpoint of a second tree. */
export interface TreeCheckpoint {
  size: number
  root: Hash
}

/** Verifies a signed checkpoint, and parses it. @throws Error that names the fault */
export function openTreeCheckpoint(
  note: string,
  vkeys: readonly string[],
  { origin, bytes }: { origin: string; bytes: number },
): TreeCheckpoint {
  const { text } = openNote(
    note,
    vkeys.map((vkey) => verifierFromVkey(vkey, nativeCrypto)),
  )
  const [name, decimal = '', root = ''] = text.split('\n')
  if (name !== origin)
    throw new Error(`expected origin ${JSON.stringify(origin)}, found ${JSON.stringify(name)}`)
  const size = parseDecimal(decimal)
  if (size === undefined) throw new Error(`expected a tree size, found ${JSON.stringify(decimal)}`)
  if (!isHashOf(root, bytes))
    throw new Error(`expected the base64 of ${bytes} bytes, found ${JSON.stringify(root)}`)
  return { size, root }
}

/** Parses the text of a full hash tile. @throws Error that names the line */
export function parseTreeTile(text: Uint8Array, bytes: number): Hash[] {
  const lines = oneCharacterPerByte.decode(text).split('\n')
  if (lines.pop() !== '' || lines.length !== TILE_WIDTH)
    throw new Error(`expected ${TILE_WIDTH} lines with a line feed each, found ${lines.length}`)
  const bad = lines.findIndex((line) => !isHashOf(line, bytes))
  if (bad >= 0)
    throw new Error(
      `expected the base64 of ${bytes} bytes in line ${bad + 1}, found ${JSON.stringify(lines[bad])}`,
    )
  return lines
}

/** Reports whether a text is the canonical base64 of this many bytes. */
function isHashOf(text: string, bytes: number): boolean {
  try {
    return nativeCodec.base64Decode(text).length === bytes
  } catch {
    return false
  }
}
