/** One 512-byte header of a tar archive: POSIX ustar (IEEE Std 1003.1, "ustar Interchange Format"), or GNU tar's. */

export const BLOCK = 512

const USTAR = 'ustar\u000000'
const GNU = 'ustar  \0'

/** Where a header's magic stands. */
export const TAR_MAGIC_AT = 257

/** Whether a block has what all tar headers that are read here have: "ustar". */
export function hasTarMagic(block: Buffer): boolean {
  return block.toString('latin1', TAR_MAGIC_AT, TAR_MAGIC_AT + 5) === 'ustar'
}

export interface TarHeader {
  name: string
  /** Bytes of content, which fills up whole blocks. */
  size: number
  /** The typeflag, '0' for a regular file. */
  type: string
  linkname: string
}

/** Types of members, as messages have them; of these only '0' and '5' are read. */
const KINDS: ReadonlyMap<string, string> = new Map([
  ['1', 'a hard link'],
  ['2', 'a symbolic link'],
  ['3', 'a character device'],
  ['4', 'a block device'],
  ['6', 'a pipe'],
  ['M', 'a piece of a file that began in another archive'],
  ['S', 'a sparse file'],
])

/** What a member of this type is, in words. */
export function kindOf({ type, linkname }: TarHeader): string {
  const kind = KINDS.get(type) ?? `a member of type ${JSON.stringify(type)}`
  return type === '1' || type === '2' ? `${kind} to ${JSON.stringify(linkname)}` : kind
}

/** The header in a block that is not all zeros, or the reason why there is none. */
export function parseTarHeader(block: Buffer): TarHeader | string {
  const sum = octal(block, 148, 8)
  const found = checksum(block)
  if (sum !== found) return `expected a tar header, found one whose checksum is ${found} and not ${sum}`
  const magic = block.toString('latin1', 257, 265)
  if (magic !== USTAR && magic !== GNU)
    return `expected the magic of ustar or GNU tar, found ${JSON.stringify(magic)}`
  const size = sizeOf(block)
  if (size === undefined) return 'expected a size in octal digits, found something else'
  const prefix = magic === USTAR ? text(block, 345, 155) : ''
  const name = text(block, 0, 100)
  const type = block[156] === 0 || block[156] === 0x37 ? '0' : String.fromCharCode(block[156] as number)
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    // What a folder or a hard link says of a size is not followed by content.
    size: type === '5' || type === '1' ? 0 : size,
    type,
    linkname: text(block, 157, 100),
  }
}

function text(block: Buffer, from: number, length: number): string {
  const end = block.indexOf(0, from)
  return block.toString('utf8', from, end < 0 ? from + length : Math.min(end, from + length))
}

function octal(block: Buffer, from: number, length: number): number | undefined {
  const field = block.toString('latin1', from, from + length).replaceAll('\0', ' ')
  const digits = /^ *([0-7]+) *$/.exec(field)?.[1]
  return digits === undefined ? undefined : Number.parseInt(digits, 8)
}

/** The size: octal digits, or in GNU archives base 256 behind a first byte 0x80. */
function sizeOf(block: Buffer): number | undefined {
  if (block[124] !== 0x80) return octal(block, 124, 12)
  const value = block.readBigUInt64BE(128)
  const high = block.readUIntBE(125, 3)
  return high === 0 && value <= BigInt(Number.MAX_SAFE_INTEGER - BLOCK) ? Number(value) : undefined
}

/** The sum of the header's bytes, its checksum field taken as blanks. */
function checksum(block: Buffer): number {
  let sum = 8 * 0x20
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += block[i] as number
  return sum
}

/**
 * The records of a pax extended header, `<length> <key>=<value>\n` each; undefined when it is none.
 * A key that comes again counts with its last value.
 */
export function parsePax(content: Buffer): Map<string, string> | undefined {
  const records = new Map<string, string>()
  for (let at = 0; at < content.length;) {
    const blank = content.indexOf(0x20, at)
    const digits = blank < 0 ? '' : content.toString('latin1', at, blank)
    const end = /^[1-9]\d{0,6}$/.test(digits) ? at + Number(digits) : 0
    if (end <= blank || end > content.length || content[end - 1] !== 0x0a) return undefined
    const record = content.toString('utf8', blank + 1, end - 1)
    const equals = record.indexOf('=')
    if (equals < 1) return undefined
    records.set(record.slice(0, equals), record.slice(equals + 1))
    at = end
  }
  return records
}
