/**
 * Limits the connections of a process, in total and per address. When a limit is reached, a new connection evicts an old one. A
 * connection is unproven until it has carried a request with valid credentials; requests to public routes do not count. Eviction takes the
 * oldest unproven connection first, then the proven connection that has been idle longest. When all are busy, the new connection evicts the
 * oldest connection of a subject that holds more than its share; if no subject does, the server refuses the new connection.
 */
import { addressKey } from './address.ts'
import { BlockList, isIPv6, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connectionsFor, openFilesLimit } from './open-files.ts'

/** Silent: no complete request head yet. Idle: between two requests. Busy: with a request in progress. */
export type ConnectionState = 'silent' | 'idle' | 'busy'
/** The limit that was reached: an address's share, the total, or the time for the first byte. */
export type Why = 'address' | 'full' | 'late'

/** The configured limits. */
export interface ConnectionsConfig {
  /** In total. Default: as many as the limit of open files permits, at most 16,384. */
  max?: number
  /** Per address (per /64 of IPv6). Default: a quarter of the total. */
  perAddress?: number
  /** Proxies: addresses, or networks such as 10.0.0.0/8, without a limit per address because many clients connect through them. */
  proxies?: readonly string[]
}

export interface ConnectionsOptions {
  /** The default of `max`. */
  most?: number
  /** Milliseconds for the first byte of a connection, counted from the end of the handshake with TLS. */
  firstByteMs?: number
  /** Called for each connection that is evicted (`ended`) or refused. */
  turnedAway?(what: 'ended' | 'refused', why: Why, address: string): void
}

const FIRST_BYTE_MS = 5000
const LOOK_MS = 1000

interface Held {
  readonly socket: Socket
  /** The stream that carries its requests: the socket, or the TLS socket over it. */
  stream: Socket
  readonly share: Share
  state: ConnectionState
  /** Whether it has carried a request with valid credentials, or any request when none are configured. */
  isProven: boolean
  /**
   * The subject of its latest credentials. Undefined when none are configured, and over a unix socket, because that carries many
   * subjects.
   */
  subject: string | undefined
  isGone: boolean
  /** When it became silent. */
  since: number
}

/** A subject's share of all connections. While there is room, a subject may have more. */
const SUBJECT_SHARE = 1 / 4

/** Eviction examines this many of the oldest unproven connections, and evicts one of the address that holds the most connections. */
const LOOKED_AT = 64

class Group {
  /** Unproven connections in order of arrival. */
  readonly unproven = new Set<Held>()
  /** Proven idle connections, the longest idle first. */
  readonly waiting = new Set<Held>()
  size = 0

  add(held: Held): void {
    this.size += 1
    this.#file(held)
  }

  remove(held: Held): void {
    this.size -= 1
    this.unproven.delete(held)
    this.waiting.delete(held)
  }

  /** Moves a connection to the list for its new state. */
  move(held: Held): void {
    if (!held.isProven) return
    this.unproven.delete(held)
    this.waiting.delete(held)
    this.#file(held)
  }

  #file(held: Held): void {
    if (!held.isProven) this.unproven.add(held)
    else if (held.state === 'idle') this.waiting.add(held)
  }

  /** Returns the connection to evict next. */
  get first(): Held | undefined {
    let found: Held | undefined
    let looked = 0
    for (const held of this.unproven) {
      if (found === undefined || held.share.size > found.share.size) found = held
      if (++looked === LOOKED_AT) break
    }
    if (found !== undefined) return found
    const [waiting] = this.waiting
    return waiting
  }
}

class Share extends Group {
  readonly address: string

  constructor(address: string) {
    super()
    this.address = address
  }
}

export class Connections {
  readonly #options: ConnectionsOptions
  readonly #all = new Group()
  readonly #counts: Record<ConnectionState, number> = { silent: 0, idle: 0, busy: 0 }
  readonly #silent = new Set<Held>()
  readonly #shares = new Map<string, Share>()
  /** Each subject's connections, in the order in which it first used them. */
  readonly #ofSubjects = new Map<string, Set<Held>>()
  readonly #held = new WeakMap<Duplex, Held>()
  /** Connections during their TLS handshake, by the addresses of both ends. */
  readonly #handshakes = new Map<string, Held>()
  #max = 0
  #perAddress = 0
  #proxies = new BlockList()
  #timer: NodeJS.Timeout | undefined

  constructor(config: ConnectionsConfig = {}, options: ConnectionsOptions = {}) {
    this.#options = options
    this.update(config)
  }

  /** Applies to new connections; existing ones stay. */
  update({ max, perAddress, proxies = [] }: ConnectionsConfig): void {
    this.#max = max ?? this.#options.most ?? connectionsFor(openFilesLimit())
    this.#perAddress = perAddress ?? Math.max(1, Math.floor(this.#max / 4))
    this.#proxies = new BlockList()
    for (const proxy of proxies) addNetwork(this.#proxies, proxy)
  }

  get max(): number {
    return this.#max
  }

  count(state: ConnectionState): number {
    return this.#counts[state]
  }

  /** Counts the server's connections. Returns the open connections, including those in a TLS handshake. */
  watch(server: Server): ReadonlySet<Socket> {
    const sockets = new Set<Socket>()
    server.on('connection', (socket: Socket) => {
      const held = this.#admit(socket)
      if (held === undefined) {
        socket.destroy()
        return
      }
      sockets.add(socket)
      const ends = endsOf(socket)
      this.#handshakes.set(ends, held)
      socket.once('close', () => {
        sockets.delete(socket)
        this.#remove(held)
        if (this.#handshakes.get(ends) === held) this.#handshakes.delete(ends)
      })
    })
    server.on('secureConnection', (socket: Socket) => {
      const held = this.#handshakes.get(endsOf(socket))
      if (held === undefined) return
      held.stream = socket
      held.since = performance.now()
      this.#held.set(socket, held)
    })
    return sockets
  }

  /** Records that a complete request head has arrived. */
  began(stream: Duplex): void {
    this.#move(stream, 'busy')
  }

  /** Records that a request had valid credentials of `subject`, or that none are configured. */
  proved(stream: Duplex, subject?: string): void {
    const held = this.#held.get(stream)
    if (held === undefined || held.isGone) return
    if (held.socket.remoteAddress !== undefined) this.#nameSubject(held, subject)
    if (held.isProven) return
    held.isProven = true
    this.#all.move(held)
    held.share.move(held)
  }

  /** Records that the request was answered. */
  rested(stream: Duplex): void {
    this.#move(stream, 'idle')
  }

  #admit(socket: Socket): Held | undefined {
    const address = addressKey(socket.remoteAddress)
    const share = this.#shares.get(address) ?? new Share(address)
    const hasLimit = socket.remoteAddress !== undefined && !this.#isProxy(socket.remoteAddress)
    if (hasLimit && share.size >= this.#perAddress && !this.#makeRoom(share, 'address', address))
      return undefined
    if (this.#all.size >= this.#max && !this.#makeRoom(this.#all, 'full', address)) return undefined
    const held: Held = {
      socket,
      stream: socket,
      share,
      state: 'silent',
      isProven: false,
      subject: undefined,
      isGone: false,
      since: performance.now(),
    }
    // The eviction may have removed the share together with its last connection.
    this.#shares.set(address, share)
    this.#all.add(held)
    share.add(held)
    this.#silent.add(held)
    this.#counts.silent += 1
    this.#held.set(socket, held)
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref()
    return held
  }

  #makeRoom(group: Group, why: Why, address: string): boolean {
    const first = group.first ?? (why === 'full' ? this.#ofCrowdingSubject() : undefined)
    if (first === undefined) {
      this.#options.turnedAway?.('refused', why, address)
      return false
    }
    this.#end(first, why)
    return true
  }

  /** Returns the oldest connection of the subject with the most connections, if they exceed its share. */
  #ofCrowdingSubject(): Held | undefined {
    let most: ReadonlySet<Held> | undefined
    for (const own of this.#ofSubjects.values()) if (own.size > (most?.size ?? 0)) most = own
    if (most === undefined || most.size <= this.#max * SUBJECT_SHARE) return undefined
    const [oldest] = most
    return oldest
  }

  #nameSubject(held: Held, subject: string | undefined): void {
    if (held.subject === subject) return
    this.#forgetSubject(held)
    held.subject = subject
    if (subject === undefined) return
    const own = this.#ofSubjects.get(subject) ?? new Set()
    this.#ofSubjects.set(subject, own.add(held))
  }

  #forgetSubject(held: Held): void {
    if (held.subject === undefined) return
    const own = this.#ofSubjects.get(held.subject)
    own?.delete(held)
    if (own?.size === 0) this.#ofSubjects.delete(held.subject)
    held.subject = undefined
  }

  #end(held: Held, why: Why): void {
    this.#remove(held)
    held.socket.destroy()
    this.#options.turnedAway?.('ended', why, held.share.address)
  }

  #remove(held: Held): void {
    if (held.isGone) return
    held.isGone = true
    const { share, state } = held
    this.#all.remove(held)
    share.remove(held)
    this.#silent.delete(held)
    this.#forgetSubject(held)
    this.#counts[state] -= 1
    if (share.size === 0 && this.#shares.get(share.address) === share) this.#shares.delete(share.address)
  }

  #move(stream: Duplex, state: ConnectionState): void {
    const held = this.#held.get(stream)
    if (held === undefined || held.isGone) return
    this.#counts[held.state] -= 1
    this.#counts[state] += 1
    held.state = state
    this.#silent.delete(held)
    this.#all.move(held)
    held.share.move(held)
  }

  /** Evicts connections that have not sent a byte in time. The timer runs only while some connection is silent. */
  #look(): void {
    const late = performance.now() - (this.#options.firstByteMs ?? FIRST_BYTE_MS)
    for (const held of this.#silent)
      if (held.since <= late && held.stream.bytesRead === 0) this.#end(held, 'late')
    if (this.#silent.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #isProxy(address: string): boolean {
    return this.#proxies.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
  }
}

/** Returns a key that identifies a connection of a server. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}

function addNetwork(list: BlockList, text: string): void {
  const [address = '', prefix] = text.split('/')
  const family = isIPv6(address) ? 'ipv6' : 'ipv4'
  if (prefix === undefined) list.addAddress(address, family)
  else list.addSubnet(address, Number(prefix), family)
}
