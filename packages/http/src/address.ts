/** The addresses that servers listen on, and the addresses that clients connect from. */
import { BlockList, isIP, isIPv6 } from 'node:net'
import { resolve } from 'node:path'
import { HostedError } from './errors.ts'

/** An address to listen on. */
export type Listen = ({ host: string; port: number } | { path: string }) & {
  /** A descriptor, inherited from the parent process, of a socket that listens already. */
  fd?: number
}

/** Parses `HOST:PORT`, `[IPV6]:PORT` or `unix:/path`. @throws HostedError `usage` */
export function parseListen(text: string): Listen {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length)
    if (path === '') throw usage('--listen: expected unix:/path/of/the/socket')
    return { path: resolve(path) }
  }
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text)
  const name = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (name === undefined || port > 65_535) {
    throw usage(`--listen: expected HOST:PORT, [IPV6]:PORT or unix:/path, found ${text}`)
  }
  const host = name === 'localhost' ? '127.0.0.1' : name
  return { host, port }
}

/** Reports whether `host` is a loopback address. A name is not an address. */
export function isLoopback(host: string): boolean {
  const loopback = new BlockList()
  loopback.addSubnet('127.0.0.0', 8, 'ipv4')
  loopback.addAddress('::1', 'ipv6')
  const version = isIP(host)
  return version !== 0 && loopback.check(host, version === 4 ? 'ipv4' : 'ipv6')
}

/** Returns the key under which a client's address is counted: an IPv4 address, a /64 of IPv6, `unix` for every unix socket. */
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

function usage(message: string): HostedError {
  return new HostedError('usage', message)
}
