// A disk with a write cache, for QEMU over NBD (github.com/NetworkBlockDevice/nbd, doc/proto.md): after a power cut,
// each sector written since the last flush holds its flushed contents or any of the later writes.
import { createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import type { Random } from '@service-fs/storage/random'

const SECTOR = 512
const MAGIC = { init: 0x4e42444d41474943n, options: 0x49484156454f5054n, answer: 0x3e889045565a9n }
const REQUEST = 0x25609513
const ANSWER = 0x67446698
const OPTION = { exportName: 1, go: 7 }
const COMMAND = { read: 0, write: 1, disconnect: 2, flush: 3 }
const UNSUPPORTED = 0x8000_0001
const INVALID = 22
/** Newstyle handshake, without the zeros after the answer to `exportName`. */
const HANDSHAKE = 3
/** The flags are valid; the client may send a flush. */
const TRANSMISSION = 5
/** The lengths of an option header and a request header. */
const HEAD = { option: 16, request: 28 }

function words(...parts: (number | bigint)[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      const bytes = Buffer.alloc(typeof part === 'bigint' ? 8 : 4)
      if (typeof part === 'bigint') bytes.writeBigUInt64BE(part)
      else bytes.writeUInt32BE(part)
      return bytes
    }),
  )
}

function short(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

export class CachedDisk {
  readonly bytes: Buffer
  /** The number of sectors that lost a write in all cuts. */
  lost = 0
  readonly #random: Random
  /** The contents of each sector since the last flush, from the flushed one to the newest. */
  readonly #versions = new Map<number, Buffer[]>()
  #server: Server | undefined
  #client: Socket | undefined
  #flush: (() => void) | undefined
  #isHeld = false

  constructor(bytes: number, random: Random) {
    this.bytes = Buffer.alloc(bytes)
    this.#random = random
  }

  /** Serves one client at a time on a Unix socket. */
  async listen(path: string): Promise<void> {
    this.#server = createServer((socket) => this.#accept(socket))
    this.#server.listen(path)
    await once(this.#server, 'listening')
  }

  close(): void {
    this.#client?.destroy()
    this.#server?.close()
  }

  /** Waits for the next flush, does not perform it, and blocks it and everything after it until the power fails. */
  hold(): Promise<void> {
    return new Promise((resolve) => {
      this.#flush = resolve
    })
  }

  /** Cuts the power. */
  cut(): void {
    this.#flush = undefined
    this.#isHeld = false
    this.#client?.destroy()
    this.#client = undefined
    for (const [sector, versions] of this.#versions) {
      const kept = this.#random.below(versions.length)
      if (kept < versions.length - 1) this.lost += 1
      versions[kept]?.copy(this.bytes, sector * SECTOR)
    }
    this.#versions.clear()
  }

  #write(offset: number, bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += SECTOR) {
      const sector = (offset + at) / SECTOR
      const before = this.bytes.subarray(sector * SECTOR, (sector + 1) * SECTOR)
      const versions = this.#versions.get(sector) ?? [Buffer.from(before)]
      versions.push(Buffer.from(bytes.subarray(at, at + SECTOR)))
      this.#versions.set(sector, versions)
    }
    bytes.copy(this.bytes, offset)
  }

  #accept(socket: Socket): void {
    this.#client = socket
    const chunks: Buffer[] = []
    let length = 0
    /** Consumes the first received bytes, if there are enough. */
    const take = (count: number): Buffer | undefined => {
      if (length < count) return undefined
      const all = Buffer.concat(chunks.splice(0))
      length -= count
      if (length > 0) chunks.push(all.subarray(count))
      return all.subarray(0, count)
    }
    socket.on('error', () => {})
    socket.write(Buffer.concat([words(MAGIC.init, MAGIC.options), short(HANDSHAKE)]))
    const conversation = this.#conversation(socket)
    let wanted = conversation.next()
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      length += chunk.length
      while (wanted.done !== true && !socket.destroyed && !this.#isHeld) {
        const bytes = take(wanted.value)
        if (bytes === undefined) return
        wanted = conversation.next(bytes)
      }
      if (wanted.done === true) socket.end()
    })
  }

  /** Yields the number of bytes that it needs next. */
  *#conversation(socket: Socket): Generator<number, void, Buffer> {
    yield 4
    for (let ready = false; !ready;) {
      const head = yield HEAD.option
      const option = head.readUInt32BE(8)
      yield head.readUInt32BE(12)
      const answer = (kind: number, data: Buffer): void =>
        void socket.write(Buffer.concat([words(MAGIC.answer, option, kind, data.length), data]))
      const about = Buffer.concat([words(BigInt(this.bytes.length)), short(TRANSMISSION)])
      ready = option === OPTION.go || option === OPTION.exportName
      if (option === OPTION.exportName) socket.write(about)
      else if (option !== OPTION.go) answer(UNSUPPORTED, Buffer.alloc(0))
      else {
        answer(3, Buffer.concat([short(0), about]))
        answer(1, Buffer.alloc(0))
      }
    }
    for (;;) {
      const head = yield HEAD.request
      const [command, offset, count] = [head.readUInt16BE(6), head.readBigUInt64BE(16), head.readUInt32BE(24)]
      if (head.readUInt32BE(0) !== REQUEST || command === COMMAND.disconnect) return
      const data = command === COMMAND.write ? yield count : undefined
      if (command === COMMAND.flush && this.#flush !== undefined) {
        this.#isHeld = true
        this.#flush()
        yield 0
      }
      socket.write(this.#answer(head.subarray(8, 16), command, Number(offset), count, data))
    }
  }

  #answer(cookie: Buffer, command: number, offset: number, count: number, data?: Buffer): Buffer {
    const fits = offset % SECTOR === 0 && count % SECTOR === 0 && offset + count <= this.bytes.length
    const known = command === COMMAND.flush || (fits && command <= COMMAND.write)
    const head = Buffer.concat([words(ANSWER, known ? 0 : INVALID), cookie])
    if (!known) return head
    if (command === COMMAND.read) return Buffer.concat([head, this.bytes.subarray(offset, offset + count)])
    if (data !== undefined) this.#write(offset, data)
    if (command === COMMAND.flush) this.#versions.clear()
    return head
  }
}
