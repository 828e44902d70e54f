/** Client addresses as they are counted. */
import { isIPv6 } from 'node:net'

/** What counts as one address: an IPv4 address, a /64 of IPv6, all that comes over a unix socket. */
export function addressKey(address: string | undefined): string {
  if (address === undefined) return 'unix'
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined || !isIPv6(address)) return mapped ?? address
  const [left = '', right] = (address.split('%')[0] ?? '').split('::')
  const head = left === '' ? [] : left.split(':')
  const tail = right === undefined || right === '' ? [] : right.split(':')
  const groups =
    right === undefined
      ? head
      : [...head, ...Array.from({ length: Math.max(0, 8 - head.length - tail.length) }, () => '0'), ...tail]
  return groups.slice(0, 4).join(':')
}
