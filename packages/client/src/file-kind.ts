/** Recognizes, by its first bytes, a file that is not a tar archive. */
import { TAR_MAGIC_AT, hasTarMagic } from './tar-header.ts'

interface Kind {
  magic: readonly number[]
  name: string
  /** The command that decompresses such a file to standard output. */
  unpack?: string
}

/** The magic numbers of gzip (RFC 1952), Zstandard (RFC 8878), xz, bzip2, lzip, LZ4, zip and 7z. */
const KINDS: readonly Kind[] = [
  { magic: [0x1f, 0x8b], name: 'gzip', unpack: 'gzip -dc' },
  { magic: [0x28, 0xb5, 0x2f, 0xfd], name: 'zstd', unpack: 'zstd -dc' },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], name: 'xz', unpack: 'xz -dc' },
  { magic: [0x42, 0x5a, 0x68], name: 'bzip2', unpack: 'bzip2 -dc' },
  { magic: [0x4c, 0x5a, 0x49, 0x50], name: 'lzip', unpack: 'lzip -dc' },
  { magic: [0x04, 0x22, 0x4d, 0x18], name: 'lz4', unpack: 'lz4 -dc' },
  { magic: [0x50, 0x4b, 0x03, 0x04], name: 'zip' },
  { magic: [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c], name: '7z' },
]

/**
 * Returns the reason why a file with these first bytes is not a tar archive; undefined when the file may be a tar archive. A tar archive is
 * not empty and not compressed. It begins with a tar header or with the zeros of an empty archive.
 */
export function notTar(path: string, start: Buffer): string | undefined {
  const expected = 'expected a tar archive or a disk image'
  if (start.length === 0) return `${expected}, found an empty file`
  const kind = KINDS.find(({ magic }) => magic.every((byte, at) => start[at] === byte))
  if (kind?.unpack !== undefined && !hasTarMagic(start))
    return `${expected}, found a file compressed with ${kind.name}: unpack it first, for instance ${kind.unpack} ${shellWord(path)} > ledger.tar`
  if (kind !== undefined && !hasTarMagic(start))
    return `${expected}, found a ${kind.name} archive: unpack it first`
  if (hasTarMagic(start) || start.subarray(0, 512).every((byte) => byte === 0)) return undefined
  const bytes = start.subarray(TAR_MAGIC_AT, TAR_MAGIC_AT + 5)
  const found =
    start.length < 512 ? `a file of ${start.length} bytes` : JSON.stringify(bytes.toString('latin1'))
  return `${expected}, which has "ustar" at byte ${TAR_MAGIC_AT}, found ${found}`
}

function shellWord(text: string): string {
  return /^[\w./:@%+=-]+$/.test(text) && !text.startsWith('-')
    ? text
    : `'${text.replaceAll("'", String.raw`'\''`)}'`
}
