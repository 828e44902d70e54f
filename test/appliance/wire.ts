// A host on the appliance's wire that makes its frames itself: Ethernet, ARP, IPv4 and parts of TCP.
import { createSocket, type Socket } from 'node:dgram'

const OURS = [0x52, 0x55, 0x0a, 0, 2, 2]
const EVERYONE = [255, 255, 255, 255, 255, 255]
export const FIN = 1
export const SYN = 2
export const RST = 4
export const ACK = 16

export interface Segment {
  from: number
  to: number
  fromPort: number
  toPort: number
  sequence: number
  acknowledged: number
  flags: number
  window?: number
  options?: number[]
  data: Buffer
}

export const ip = (text: string): number =>
  text.split('.').reduce((number, part) => number * 256 + Number(part), 0)

/** RFC 1071. */
function checksum(bytes: Buffer): number {
  let sum = 0
  for (let at = 0; at < bytes.length; at += 2) sum += (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

/** Makes an IPv4 packet: a 20-byte header and the payload. */
export function packet(from: number, to: number, protocol: number, inside: Buffer): Buffer {
  const header = Buffer.alloc(20)
  header[0] = 0x45
  header.writeUInt16BE(20 + inside.length, 2)
  header[8] = 64
  header[9] = protocol
  header.writeUInt32BE(from, 12)
  header.writeUInt32BE(to, 16)
  header.writeUInt16BE(checksum(header), 10)
  return Buffer.concat([header, inside])
}

export function tcp(segment: Segment): Buffer {
  const options = Buffer.from(segment.options ?? [])
  const header = Buffer.alloc(20 + options.length)
  header.writeUInt16BE(segment.fromPort, 0)
  header.writeUInt16BE(segment.toPort, 2)
  header.writeUInt32BE(segment.sequence >>> 0, 4)
  header.writeUInt32BE(segment.acknowledged >>> 0, 8)
  header[12] = (header.length / 4) << 4
  header[13] = segment.flags
  header.writeUInt16BE(segment.window ?? 65535, 14)
  options.copy(header, 20)
  const whole = Buffer.concat([header, segment.data])
  const pseudo = Buffer.alloc(12)
  pseudo.writeUInt32BE(segment.from, 0)
  pseudo.writeUInt32BE(segment.to, 4)
  pseudo[9] = 6
  pseudo.writeUInt16BE(whole.length, 10)
  whole.writeUInt16BE(checksum(Buffer.concat([pseudo, whole])), 16)
  return packet(segment.from, segment.to, 6, whole)
}

function parse(frame: Buffer): Segment | undefined {
  if (frame.readUInt16BE(12) !== 0x0800 || frame[23] !== 6) return undefined
  const packetEnd = 14 + frame.readUInt16BE(16)
  const at = 34
  return {
    from: frame.readUInt32BE(26),
    to: frame.readUInt32BE(30),
    fromPort: frame.readUInt16BE(at),
    toPort: frame.readUInt16BE(at + 2),
    sequence: frame.readUInt32BE(at + 4),
    acknowledged: frame.readUInt32BE(at + 8),
    flags: frame[at + 13] ?? 0,
    window: frame.readUInt16BE(at + 14),
    data: frame.subarray(at + ((frame[at + 12] ?? 0) >> 4) * 4, packetEnd),
  }
}

/** This host answers for every address except the appliance's. */
export class Wire {
  /** The appliance's IP address and, after its ARP request, its MAC address. */
  readonly #appliance: number
  #card = EVERYONE
  readonly #socket: Socket
  readonly #there: number
  readonly #listeners = new Set<(segment: Segment) => void>()
  /** Ping replies received. */
  pongs = 0
  /** Frames received. */
  frames = 0

  private constructor(socket: Socket, there: number, appliance: number) {
    this.#socket = socket
    this.#there = there
    this.#appliance = appliance
    socket.on('message', (frame) => this.#take(frame))
  }

  static async open(here: number, there: number, appliance: number): Promise<Wire> {
    const socket = createSocket('udp4')
    await new Promise<void>((resolve) => socket.bind(here, '127.0.0.1', resolve))
    return new Wire(socket, there, appliance)
  }

  close(): void {
    this.#socket.close()
  }

  raw(frame: Uint8Array): void {
    this.#socket.send(frame, this.#there, '127.0.0.1')
  }

  /** Makes a frame with this payload. */
  frame(type: number, inside: Buffer): Buffer {
    return Buffer.concat([Buffer.from([...this.#card, ...OURS, type >> 8, type & 255]), inside])
  }

  send(segment: Segment): void {
    this.raw(this.frame(0x0800, tcp(segment)))
  }

  #arp(operation: number, from: number, to: number): void {
    const inside = Buffer.alloc(46)
    Buffer.from([0, 1, 8, 0, 6, 4, 0, operation, ...OURS]).copy(inside)
    inside.writeUInt32BE(from, 14)
    Buffer.from(operation === 1 ? [0, 0, 0, 0, 0, 0] : this.#card).copy(inside, 18)
    inside.writeUInt32BE(to, 24)
    this.raw(this.frame(0x0806, inside))
  }

  ping(from: number): void {
    const echo = Buffer.from([8, 0, 0, 0, 0, 1, 0, 1])
    echo.writeUInt16BE(checksum(echo), 2)
    this.raw(this.frame(0x0800, packet(from, this.#appliance, 1, echo)))
  }

  /** Sends an ARP request for the appliance. */
  async find(from: number): Promise<void> {
    while (this.#card === EVERYONE) {
      this.#arp(1, from, this.#appliance)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  #take(frame: Buffer): void {
    this.frames++
    const type = frame.readUInt16BE(12)
    if (type === 0x0806) {
      const asked = frame.readUInt32BE(38)
      this.#card = [...frame.subarray(6, 12)]
      if (frame[21] === 1 && asked !== this.#appliance) this.#arp(2, asked, this.#appliance)
      return
    }
    if (type === 0x0800 && frame[23] === 1 && frame[34] === 0) this.pongs++
    const segment = parse(frame)
    if (segment !== undefined) for (const listener of this.#listeners) listener(segment)
  }

  listen(listener: (segment: Segment) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  connection(from: number, fromPort: number, toPort: number): Connection {
    return new Connection(this, { from, to: this.#appliance, fromPort, toPort })
  }
}

/** One connection; the test drives every segment. */
export class Connection {
  readonly #wire: Wire
  readonly #ends: Pick<Segment, 'from' | 'to' | 'fromPort' | 'toPort'>
  /** The next sequence number to send, and the next one expected from the appliance. */
  sequence = 1000
  expected = 0
  #stop = () => {}
  /** The appliance's first sequence number. */
  first = 0
  /** The window offered to the appliance, in bytes. */
  window = 65535
  received: Buffer = Buffer.alloc(0)
  isReset = false
  hasEnded = false

  constructor(wire: Wire, ends: Pick<Segment, 'from' | 'to' | 'fromPort' | 'toPort'>) {
    this.#wire = wire
    this.#ends = ends
  }

  send(flags: number, more: Partial<Segment> = {}): void {
    const numbers = { sequence: this.sequence, acknowledged: this.expected }
    this.#wire.send({ ...this.#ends, ...numbers, flags, window: this.window, data: Buffer.alloc(0), ...more })
  }

  /** Performs the handshake, with retries. Returns false on a timeout. */
  async open(milliseconds = 5000, options: number[] = []): Promise<boolean> {
    const until = performance.now() + milliseconds
    this.#stop = this.#wire.listen((segment) => this.#take(segment))
    while (this.expected === 0 && !this.isReset && performance.now() < until) {
      this.send(SYN, { options })
      for (let i = 0; i < 20 && this.expected === 0 && !this.isReset; i++) {
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    }
    return this.expected !== 0
  }

  #take(segment: Segment): void {
    if (segment.fromPort !== this.#ends.toPort || segment.toPort !== this.#ends.fromPort) return
    if (segment.to !== this.#ends.from) return
    if ((segment.flags & RST) !== 0) {
      this.isReset = true
    } else if ((segment.flags & SYN) !== 0) {
      this.first = segment.sequence
      if (this.expected === 0) this.sequence++
      this.expected = (segment.sequence + 1) >>> 0
      this.send(ACK)
    } else if (segment.sequence === this.expected && segment.data.length > 0) {
      this.received = Buffer.concat([this.received, segment.data])
      this.expected = (this.expected + segment.data.length) >>> 0
      this.hasEnded = (segment.flags & FIN) !== 0
      this.send(ACK)
    } else if ((segment.flags & FIN) !== 0) {
      this.hasEnded = true
    }
  }

  data(text: string): void {
    const data = Buffer.from(text)
    this.send(ACK, { data })
    this.sequence += data.length
  }

  /** Waits until data arrives. */
  async until(has: () => boolean, milliseconds = 5000): Promise<boolean> {
    const end = performance.now() + milliseconds
    while (!has() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 10))
    return has()
  }

  reset(): void {
    this.send(RST | ACK)
    this.#stop()
  }
}
