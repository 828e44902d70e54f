// Connections to pd/talker.c.
import { createConnection, type Socket } from 'node:net'

/** The bytes that pd/talker.c sends, and its hash. */
export function given(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i < length; i++) bytes[i] = i * 31 + (i >> 8) * 7 + (i >> 16)
  return bytes
}

export function hash(bytes: Uint8Array): number {
  let sum = 2166136261
  for (const byte of bytes) sum = Math.imul(sum ^ byte, 16777619)
  return sum >>> 0
}

let last: Promise<unknown> = Promise.resolve()

async function connect(port: number, line: string): Promise<Socket> {
  const socket = createConnection({ host: '127.0.0.1', port, allowHalfOpen: true })
  socket.on('error', () => {})
  socket.setNoDelay()
  socket.write(`${line}\n`)
  await new Promise((resolve) => {
    socket.once('connect', resolve)
    socket.once('close', resolve)
  })
  return socket
}

/**
 * A connection that has sent its first line. Opens one connection at a time, because QEMU's user network queues only one. Errors
 * surface at the read.
 */
export function open(port: number, line: string): Promise<Socket> {
  const socket = last.then(() => connect(port, line))
  last = socket.then(() => new Promise((resolve) => setTimeout(resolve, 3)))
  return socket
}

/** Reads until the other side closes; throws on a reset or a timeout. */
export function all(socket: Socket, milliseconds = 20_000): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    socket.setTimeout(milliseconds, () => socket.destroy(new Error(`nothing came for ${milliseconds} ms`)))
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.resume()
    socket.on('end', () => {
      socket.end()
      resolve(Buffer.concat(chunks))
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('reset')))
  })
}

export async function echo(port: number, bytes: Buffer): Promise<boolean> {
  const socket = await open(port, 'echo')
  socket.end(bytes)
  return (await all(socket)).equals(bytes)
}

/** Sends all bytes; returns the count and the hash reported by the other side. */
export async function count(port: number, bytes: Buffer): Promise<string> {
  const socket = await open(port, 'count')
  socket.end(bytes)
  return (await all(socket)).toString()
}

export const counted = (bytes: Buffer): string =>
  `0x${bytes.length.toString(16)} 0x${hash(bytes).toString(16)}\n`

export async function give(port: number, length: number): Promise<Buffer> {
  const socket = await open(port, `give ${length}`)
  return all(socket)
}

export async function page(port: number): Promise<string> {
  const socket = await open(port, 'GET / HTTP/1.1\r\n\r')
  return (await all(socket)).toString().split('\r\n\r\n')[1] ?? ''
}
