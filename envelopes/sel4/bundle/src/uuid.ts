import type { Host } from './host.ts'

const POOL_BYTES = 2048
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** Returns a generator of random UUIDs, version 4 (RFC 9562, section 5.4). */
export function uuids(host: Pick<Host, 'random'>): () => string {
  let pool = new Uint8Array(0)
  let at = 0
  const hex = (from: number, to: number): string => {
    let text = ''
    for (let i = from; i < to; i++) text += HEX[pool[i] as number] as string
    return text
  }
  return () => {
    if (at + 16 > pool.length) {
      pool = new Uint8Array(host.random(POOL_BYTES))
      at = 0
    }
    const start = at
    at += 16
    pool[start + 6] = ((pool[start + 6] as number) & 0x0f) | 0x40
    pool[start + 8] = ((pool[start + 8] as number) & 0x3f) | 0x80
    const part = (from: number, to: number): string => hex(start + from, start + to)
    return `${part(0, 4)}-${part(4, 6)}-${part(6, 8)}-${part(8, 10)}-${part(10, 16)}`
  }
}
