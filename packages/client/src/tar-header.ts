/** Parses the 512-byte headers of a tar archive: those of POSIX ustar (IEEE Std 1003.1, "ustar Interchange Format") and of GNU tar. */

export const BLOCK = 512

const USTAR = 'ustar\u000000'
const GNU = 'ustar  \0'

/** The offset of the magic in a header. */
export const TAR_MAGIC_AT = 257

/** Reports whether a block has "ustar" at the offset that both header formats specify. */
export function hasTarMagic(block: Buffer): boolean {
  return block.toString('latin1', TAR_MAGIC_AT, TAR_MAGIC_AT + 5) === 'ustar'
}

export interface TarHeader {
  name: string
  /** The size of the content in bytes. In the archive, the content is padded to whole blocks. */
  size: number
  /** The typeflag, '0' for a regular file. */
  type: string
  linkname: string
}

/** The names of member types in messages. Only types '0' (file) and '5' (folder) are read. */
const KINDS: ReadonlyMap<string, string> = new Map([
  ['1', 'a hard link'],
  ['2', 'a symbolic link'],
  ['3', 'a character device'],
  ['4', 'a block device'],
  ['6', 'a pipe'],
  ['M', 'the continuation of a file from another archive'],
  ['S', 'a sparse file'],
])

/** Describes a member that is neither a file nor a folder. */
export function kindOf({ type, linkname }: TarHeader): string {
  const kind = KINDS.get(type) ?? `a member of type ${JSON.stringify(type)}`
  return type === '1' || type === '2' ? `${kind} to ${JSON.stringify(linkname)}` : kind
}

/** Parses the header in a block that is not all zeros. If the block is not a header, returns the reason. */
export function parseTarHeader(block: Buffer): TarHeader | string {
  const sum = octal(block, 148, 8)
  const found = checksum(block)
  if (sum !== found) return `expected a tar header with the checksum ${sum}, found the checksum ${found}`
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
    // A folder or a hard link has no content, even if its header states a size.
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

/** Returns the size, which is in octal digits, or in GNU archives a base-256 number after a first byte of 0x80. */
function sizeOf(block: Buffer): number | undefined {
  if (block[124] !== 0x80) return octal(block, 124, 12)
  const value = block.readBigUInt64BE(128)
  const high = block.readUIntBE(125, 3)
  return high === 0 && value <= BigInt(Number.MAX_SAFE_INTEGER - BLOCK) ? Number(value) : undefined
}

/** Returns the sum of the header's bytes, with blanks in place of the checksum field. */
function checksum(block: Buffer): number {
  let sum = 8 * 0x20
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += block[i] as number
  return sum
}

/**
 * Parses a pax extended header: records of the form `<length> <key>=<value>\n`. Returns undefined when it is malformed. When a key is
 * repeated, its last value counts.
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
