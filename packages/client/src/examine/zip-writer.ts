/**
 * Writes a zip archive to a stream (PKWARE APPNOTE 6.3.10), with zip64 where needed. A pack has two files for each record, so an archive
 * may have far more than 65,535 files. The libraries that we tried search all files whenever a file is added (yazl 3.3.1), keep a large
 * object for each file, or write no zip64 end record for so many files (client-zip 2.5.1).
 */
import { promisify } from 'node:util'
import { crc32, deflateRaw, deflateRawSync } from 'node:zlib'

/** The largest value of a 32-bit and of a 16-bit field. Such a value, or a larger one, is stored in a zip64 field. */
const MAX_32 = 0xffffffff
const MAX_16 = 0xffff
/** The version of the format that zip64 needs, 4.5; and Unix (3) as the system of the file modes. */
const VERSION = 45
const UNIX = 3 << 8
/** The names are UTF-8. */
const FLAGS = 1 << 11
const STORED = 0
const DEFLATED = 8
/** A regular file of mode 0444. */
const MODE = 0o100444
/** Shorter files are stored without compression, which would gain too little. */
const LEAST_DEFLATED = 200
/** Another thread deflates longer files, so that a server can do other work meanwhile. */
const MOST_AT_ONCE = 64 << 10
/** The number of headers to join into one buffer. */
const JOINED = 1000

/** The content of a file as it is in the archive. */
export interface ZipContent {
  /** 0 for stored, 8 for deflated. */
  method: number
  crc: number
  /** Bytes of the content. */
  size: number
  /** Bytes in the archive. */
  packed: number
}

/** Writes files one after the other. Passes the next bytes to `write`, and waits until it resolves. */
export class ZipWriter {
  readonly #write: (bytes: Uint8Array) => Promise<void>
  /** The time of every file, in the format of MS-DOS. */
  readonly #time: number
  /** The central directory: the joined headers, and the headers that were added later. */
  readonly #directory: Buffer[] = []
  #headers: Buffer[] = []
  #directoryBytes = 0
  #files = 0
  #offset = 0

  /** @param made the time of every file; archives have no time zone, so it is shown as UTC */
  constructor(write: (bytes: Uint8Array) => Promise<void>, made: Date) {
    this.#write = write
    this.#time = dosTime(made)
  }

  /** Bytes of the archive so far. */
  get bytes(): number {
    return this.#offset
  }

  /** Adds a file. */
  async add(path: string, content: Uint8Array): Promise<void> {
    const deflated = await deflate(content)
    const isSmaller = deflated.length < content.length
    const packed = isSmaller ? deflated : content
    const method = isSmaller ? DEFLATED : STORED
    await this.begin(path, { method, crc: crc32(content), size: content.length, packed: packed.length })
    await this.packed(packed)
  }

  /** Begins a file. Its `packed` bytes must follow by calls of {@link ZipWriter.packed}. */
  async begin(path: string, content: ZipContent): Promise<void> {
    const name = Buffer.from(path)
    const header = localHeader(name, content, this.#time)
    this.#addToDirectory(directoryHeader(name, content, this.#time, this.#offset))
    this.#files += 1
    await this.packed(header)
  }

  async packed(bytes: Uint8Array): Promise<void> {
    this.#offset += bytes.length
    if (bytes.length > 0) await this.#write(bytes)
  }

  /** Ends the archive. */
  async end(): Promise<void> {
    const start = this.#offset
    this.#join()
    for (const bytes of this.#directory.splice(0)) await this.packed(bytes)
    await this.packed(endOfDirectory(this.#files, this.#directoryBytes, start))
  }

  /** Joins headers, because many small buffers take far more memory than their bytes. */
  #addToDirectory(header: Buffer): void {
    this.#directoryBytes += header.length
    this.#headers.push(header)
    if (this.#headers.length >= JOINED) this.#join()
  }

  #join(): void {
    this.#directory.push(Buffer.concat(this.#headers))
    this.#headers = []
  }
}

async function deflate(content: Uint8Array): Promise<Uint8Array> {
  if (content.length < LEAST_DEFLATED) return content
  return content.length > MOST_AT_ONCE ? promisify(deflateRaw)(content) : deflateRawSync(content)
}

/** APPNOTE 4.3.7. */
function localHeader(name: Buffer, content: ZipContent, time: number): Buffer {
  const isLarge = content.size >= MAX_32 || content.packed >= MAX_32
  const extra = isLarge ? zip64Field([content.size, content.packed]) : Buffer.alloc(0)
  const header = Buffer.alloc(30)
  header.writeUInt32LE(0x04034b50, 0)
  header.writeUInt16LE(VERSION, 4)
  header.writeUInt16LE(FLAGS, 6)
  header.writeUInt16LE(content.method, 8)
  header.writeUInt32LE(time, 10)
  header.writeUInt32LE(content.crc, 14)
  header.writeUInt32LE(isLarge ? MAX_32 : content.packed, 18)
  header.writeUInt32LE(isLarge ? MAX_32 : content.size, 22)
  header.writeUInt16LE(name.length, 26)
  header.writeUInt16LE(extra.length, 28)
  return Buffer.concat([header, name, extra])
}

/** APPNOTE 4.3.12. */
function directoryHeader(name: Buffer, content: ZipContent, time: number, offset: number): Buffer {
  const large = [content.size, content.packed, offset].filter((value) => value >= MAX_32)
  const extra = large.length > 0 ? zip64Field(large) : Buffer.alloc(0)
  const header = Buffer.alloc(46)
  header.writeUInt32LE(0x02014b50, 0)
  header.writeUInt16LE(UNIX | VERSION, 4)
  header.writeUInt16LE(VERSION, 6)
  header.writeUInt16LE(FLAGS, 8)
  header.writeUInt16LE(content.method, 10)
  header.writeUInt32LE(time, 12)
  header.writeUInt32LE(content.crc, 16)
  header.writeUInt32LE(Math.min(content.packed, MAX_32), 20)
  header.writeUInt32LE(Math.min(content.size, MAX_32), 24)
  header.writeUInt16LE(name.length, 28)
  header.writeUInt16LE(extra.length, 30)
  header.writeUInt32LE(MODE * 0x10000, 38)
  header.writeUInt32LE(Math.min(offset, MAX_32), 42)
  return Buffer.concat([header, name, extra])
}

/** The zip64 extended information, with the values whose 32-bit fields are full (APPNOTE 4.5.3). */
function zip64Field(values: readonly number[]): Buffer {
  const field = Buffer.alloc(4 + 8 * values.length)
  field.writeUInt16LE(1, 0)
  field.writeUInt16LE(8 * values.length, 2)
  values.forEach((value, i) => field.writeBigUInt64LE(BigInt(value), 4 + 8 * i))
  return field
}

/** APPNOTE 4.3.14 to 4.3.16. */
function endOfDirectory(files: number, bytes: number, start: number): Buffer {
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(Math.min(files, MAX_16), 8)
  end.writeUInt16LE(Math.min(files, MAX_16), 10)
  end.writeUInt32LE(Math.min(bytes, MAX_32), 12)
  end.writeUInt32LE(Math.min(start, MAX_32), 16)
  if (files < MAX_16 && bytes < MAX_32 && start < MAX_32) return end
  const large = Buffer.alloc(56)
  large.writeUInt32LE(0x06064b50, 0)
  large.writeBigUInt64LE(44n, 4)
  large.writeUInt16LE(UNIX | VERSION, 12)
  large.writeUInt16LE(VERSION, 14)
  large.writeBigUInt64LE(BigInt(files), 24)
  large.writeBigUInt64LE(BigInt(files), 32)
  large.writeBigUInt64LE(BigInt(bytes), 40)
  large.writeBigUInt64LE(BigInt(start), 48)
  const locator = Buffer.alloc(20)
  locator.writeUInt32LE(0x07064b50, 0)
  locator.writeBigUInt64LE(BigInt(start + bytes), 8)
  locator.writeUInt32LE(1, 16)
  return Buffer.concat([large, locator, end])
}

/** Formats a time in the form of MS-DOS: the time in the lower 16 bits, and the date in the upper 16 bits. Years are 1980 to 2107. */
function dosTime(time: Date): number {
  const year = Math.min(Math.max(time.getUTCFullYear(), 1980), 2107) - 1980
  const date = (year << 9) | ((time.getUTCMonth() + 1) << 5) | time.getUTCDate()
  const seconds = Math.floor(time.getUTCSeconds() / 2)
  return date * 0x10000 + ((time.getUTCHours() << 11) | (time.getUTCMinutes() << 5) | seconds)
}
