/**
 * The border between the bundle and the machine under it: functions that the machine gives (`globalThis.host`), and those that it
 * calls (`globalThis.serviceFs`). There is nothing else: no timers, no console, no crypto, no modules. Bytes cross as ArrayBuffers.
 *
 * The machine runs all pending jobs (promises) after each call into the bundle. An exception out of such a call is a broken
 * invariant: the machine logs it and stops.
 */

/** What the machine gives. Texts with a NUL do not cross the border whole: the bundle hands none over. */
export interface Host {
  /** The wall clock, in milliseconds since the Unix epoch. */
  now(): number
  /** A clock that never steps, in milliseconds. */
  monotonic(): number
  random(bytes: number): ArrayBuffer
  /** A line for the log. */
  log(text: string): void
  /** SHA-256, 32 bytes. */
  sha256(bytes: ArrayBuffer): ArrayBuffer
  /** SHA-256 of 0x00 and the bytes (RFC 6962, section 2.1), in base64. */
  hashLeaf(bytes: ArrayBuffer): string
  /** SHA-256 of 0x01 and the 32 bytes of each hash (RFC 6962, section 2.1), all in base64. */
  hashNode(left: string, right: string): string
  utf8Encode(text: string): ArrayBuffer
  /** Undefined: not UTF-8 (strict), or there is a NUL in it. */
  utf8Decode(bytes: ArrayBuffer): string | undefined
  base64Encode(bytes: ArrayBuffer): string
  /** Undefined: not canonical base64. */
  base64Decode(text: string): ArrayBuffer | undefined
  ed25519Verify(publicKey: ArrayBuffer, message: ArrayBuffer, signature: ArrayBuffer): boolean
  /** Signs a checkpoint's text with the key of the ledger (0: main, 1: audit); `serviceFs.signed(id, …)` follows, not from within. */
  sign(ledger: number, id: number, text: string): void
  /**
   * Notes the newest durable tree of a ledger as what was acknowledged, in place of what was there (`begins`) or after it;
   * `serviceFs.noted(id, …)` follows, not from within. Absent where the machine notes that by itself.
   */
  noteMark?(ledger: number, id: number, begins: boolean, size: number, root: string, note: string): void
  /** What an operator does to open a ledger of `size` entries although more were acknowledged. Absent where there is no operator. */
  markRemedy?(ledger: number, size: number): string
  psdbPut(offset: number, bytes: ArrayBuffer): void
  psdbGet(offset: number, length: number): ArrayBuffer
  psdbSend(message: ArrayBuffer): void
  /** Queues bytes for the peer. False: much is waiting to go out; `serviceFs.writable()` tells when it has. */
  netSend(connection: number, bytes: ArrayBuffer): boolean
  /** Ends the connection when what was sent is out; `serviceFs.closed()` follows. */
  netClose(connection: number): void
  /** No more `serviceFs.data()` of this connection before netResume(). */
  netPause(connection: number): void
  netResume(connection: number): void
  /** Sets the one timer: `serviceFs.tick()` is called at that time of monotonic(), not from within, and after what has arrived by then. -1: never. */
  timer(at: number): void
  /** The ledgers are open and requests can be taken. */
  started(): void
  /** The ledgers are closed after stop(), or, with the reason, could not be opened. */
  stopped(error?: string): void
}

/** What the machine calls. */
export interface ServiceFs {
  /** `config` is the JSON of a {@link Config}. Ends in host.started() or host.stopped(). */
  start(config: string): void
  /** A message from PSDB, 64 bytes. */
  psdb(message: ArrayBuffer): void
  opened(connection: number): void
  /** Bytes from the peer; none: it has sent all that it will. */
  data(connection: number, bytes: ArrayBuffer): void
  /** The connection is gone. */
  closed(connection: number): void
  /** All that was sent is out. */
  writable(connection: number): void
  tick(): void
  /** The signature lines of request `id`; or why there are none. */
  signed(id: number, lines: string | undefined, error?: string): void
  /** The mark of request `id` is durable; or why it is not. */
  noted(id: number, error?: string): void
  /** Takes no more requests, answers those under way, closes the ledgers; then host.stopped(). */
  stop(): void
}

export interface Config {
  /** The tenant. */
  moduleId: string
  /** Of the ledger; the audit sub-ledger's is `<origin>/audit`. */
  origin: string
  /** Verifier keys of the ledger and of the audit sub-ledger. */
  vkeys: [main: string, audit: string]
  /** Bytes of the data region shared with PSDB. */
  regionBytes: number
  /** Of the software, shown in /v1/contract. */
  version: string
  /** Whether a request may be for any host name; by default it must be for one of this machine for itself. */
  anyHostName?: boolean
  limits?: Partial<Limits>
  /** What is known of the newest trees that were acknowledged; absent: nothing is ever known of them. */
  marks?: readonly [main: KnownMark, audit: KnownMark]
  /** Whether a ledger that lacks what was acknowledged is opened for reading only; by default it is not opened. */
  readsOn?: boolean
}

/** What the machine knows of the newest tree of one ledger that was acknowledged. */
export interface KnownMark {
  /** What errors call the place where that is kept. */
  name: string
  /** Absent: nothing was acknowledged yet. */
  size?: number
  /** In base64; absent: only the size is known. */
  root?: string
  /** Why it can't be read. */
  problem?: string
  /** The size of the tree that an operator accepts although it is not this one. */
  accept?: number
}

/** Bytes and milliseconds unless named otherwise. */
export interface Limits {
  /** The request line; head of a request. */
  requestLine: number
  head: number
  /** Time for the head of a request, and for all of it. */
  headTimeout: number
  requestTimeout: number
  /** How long a connection may be idle between requests, and may make no progress within one. */
  idleTimeout: number
  /** Connections at a time. */
  connections: number
  /** Request bodies held at once. */
  bodies: number
  /** Answers waiting to go out at once. */
  answers: number
  /** How long a stop waits for requests under way. */
  drainTimeout: number
  /** One record's payload. */
  payload: number
  /** The body of a batch. */
  batch: number
}

/** What the evaluated bundle finds and leaves. */
export interface Globals {
  host: Host
  serviceFs: ServiceFs
}
