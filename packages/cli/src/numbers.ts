/** Parses numbers from the command line. */
import { ClientError } from '@service-fs/client/errors'

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 1 << 10, M: 1 << 20, G: 1 << 30 }
const SECTOR = 512
const LEAST_DISK = 64 << 10

/** Parses the size of a disk and returns it in bytes. K, M and G are powers of 1024. @throws ClientError `usage` */
export function parseDiskSize(text: string, name: string): number {
  const match = /^([1-9]\d{0,12})([KMG]?)$/.exec(text)
  const bytes = match === null ? Number.NaN : Number(match[1]) * (UNITS[match[2] ?? ''] as number)
  if (Number.isSafeInteger(bytes) && bytes >= LEAST_DISK && bytes % SECTOR === 0) return bytes
  throw new ClientError(
    'usage',
    `${name}: expected a multiple of ${SECTOR} of at least 64K, with K, M or G, found ${text}`,
  )
}

/** Parses an integer of at least `least`. @throws ClientError `usage`, naming the option */
export function parseCount(text: string, name: string, least: number): number {
  const value = /^(?:0|[1-9]\d{0,15})$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new ClientError('usage', `${name}: expected an integer of at least ${least}, found ${text}`)
}
