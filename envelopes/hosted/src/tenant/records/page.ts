/** Pages of a file of the record index: 4,092 bytes of content and a CRC-32 that also covers the file's name and the page's number. */
import { crc32 } from 'node:zlib'

export const PAGE_BYTES = 4096
export const BODY_BYTES: number = PAGE_BYTES - 4
/** The first half of the SHA-256 of an identifier, and the index of the record's first entry, big-endian. */
export const KEY_BYTES = 16
export const RECORD_BYTES: number = KEY_BYTES + 6
export const RECORDS_A_PAGE: number = BODY_BYTES / RECORD_BYTES
/** Bytes of a key in the fence: 48 bits, which fit a number. */
export const PREFIX_BYTES = 6
export const PREFIXES_A_PAGE: number = BODY_BYTES / PREFIX_BYTES
/** A filter has 16 bits for each record. */
export const RECORDS_A_FILTER_PAGE: number = BODY_BYTES / 2

/** Stored data is corrupt. */
export class PageDamage extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'PageDamage'
  }
}

function checksum(bytes: Buffer, at: number, file: string, page: number): number {
  return crc32(bytes.subarray(at, at + BODY_BYTES), crc32(`${file} ${page}`))
}

/** Writes the checksum of page number `page` of the file named `file`. The page starts at `at` in `bytes`. */
export function closePage(bytes: Buffer, at: number, file: string, page: number): void {
  bytes.writeUInt32BE(checksum(bytes, at, file, page), at + BODY_BYTES)
}

/** @throws PageDamage */
export function checkPage(bytes: Buffer, at: number, file: string, page: number): void {
  if (bytes.readUInt32BE(at + BODY_BYTES) !== checksum(bytes, at, file, page))
    throw new PageDamage(`page ${page}: the checksum does not match`)
}

/** Returns how many pages a run of `records` records has, besides its head. */
export function pagesOf(records: number): { data: number; fence: number; filter: number } {
  const data = Math.ceil(records / RECORDS_A_PAGE)
  return {
    data,
    fence: Math.ceil(data / PREFIXES_A_PAGE),
    filter: Math.ceil(records / RECORDS_A_FILTER_PAGE),
  }
}
