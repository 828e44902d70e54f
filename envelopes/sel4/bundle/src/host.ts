/**
 * The border between the bundle and the machine under it: the functions of the machine (`globalThis.host`), and those of the bundle
 * (`globalThis.serviceFs`). There are no other functions: no timers, console, crypto or modules. Bytes cross as ArrayBuffers.
 *
 * The machine runs all pending jobs (promises) after each call into the bundle. An exception from such a call means
 * a broken invariant: the machine logs it and stops.
 */

/** The functions of the machine. The border cuts a text at a NUL, so the bundle passes no text with one. */
export interface Host {
  /** The wall clock, in milliseconds since the Unix epoch. */
  now(): number
  /** A clock that never steps, in milliseconds. */
  monotonic(): number
  random(bytes: number): ArrayBuffer
  /** Writes a line to the log. */
  log(text: string): void
  /** SHA-256, 32 bytes. */
  sha256(bytes: ArrayBuffer): ArrayBuffer
  /** SHA-256 of 0x00 and the bytes (RFC 6962, section 2.1), in base64. */
  hashLeaf(bytes: ArrayBuffer): string
  /** SHA-256 of 0x01 and the 32 bytes of each hash (RFC 6962, section 2.1), all in base64. */
  hashNode(left: string, right: string): string
  utf8Encode(text: string): ArrayBuffer
  /** Returns undefined if the bytes are not valid UTF-8, or contain a NUL. */
  utf8Decode(bytes: ArrayBuffer): string | undefined
  base64Encode(bytes: ArrayBuffer): string
  /** Returns undefined if the text is not canonical base64. */
  base64Decode(text: string): ArrayBuffer | undefined
  ed25519Verify(publicKey: ArrayBuffer, message: ArrayBuffer, signature: ArrayBuffer): boolean
  /** Signs a checkpoint's text with the key of the ledger (0: main, 1: audit). A call of `serviceFs.signed(id, …)` follows later. */
  sign(ledger: number, id: number, text: string): void
  /**
   * Stores the newest durable tree of a ledger as its high-water mark, replacing the mark (`begins`) or advancing it. A call of
   * `serviceFs.noted(id, …)` follows later. Absent if the machine keeps the marks without this call.
   */
  noteMark?(ledger: number, id: number, begins: boolean, size: number, root: string, note: string): void
  /** Describes how an operator opens a ledger that has only `size` of its acknowledged entries left. Absent if there is no operator. */
  markRemedy?(ledger: number, size: number): string
  psdbPut(offset: number, bytes: ArrayBuffer): void
  psdbGet(offset: number, length: number): ArrayBuffer
  psdbSend(message: ArrayBuffer): void
  /** Queues bytes for the peer. Returns false if many bytes wait; a call of `serviceFs.writable()` follows when they are sent. */
  netSend(connection: number, bytes: ArrayBuffer): boolean
  /** Closes the connection when its bytes are sent. A call of `serviceFs.closed()` follows. */
  netClose(connection: number): void
  /** Stops calls of `serviceFs.data()` for this connection until netResume(). */
  netPause(connection: number): void
  netResume(connection: number): void
  /**
   * Sets the only timer: when monotonic() reaches `at`, the machine calls `serviceFs.tick()`, after events that arrived earlier. -1: never.
   */
  timer(at: number): void
  /** Reports that the ledgers are open and requests can arrive. */
  started(): void
  /** Reports that the ledgers are closed after stop(), or the reason why they could not be opened. */
  stopped(error?: string): void
}

/** The functions of the bundle, which the machine calls. */
export interface ServiceFs {
  /** Opens the ledgers, then calls host.started() or host.stopped(). `config` is the JSON of a {@link Config}. */
  start(config: string): void
  /** Receives a message of 64 bytes from PSDB. */
  psdb(message: ArrayBuffer): void
  opened(connection: number): void
  /** Receives bytes from the peer. No bytes mean that the peer has ended its side. */
  data(connection: number, bytes: ArrayBuffer): void
  /** Called when the connection is closed. */
  closed(connection: number): void
  /** Called when all queued bytes are sent. */
  writable(connection: number): void
  tick(): void
  /** Receives the signature lines of request `id`, or the reason why signing failed. */
  signed(id: number, lines: string | undefined, error?: string): void
  /** Called when the mark of request `id` is durable, or with the reason why it could not be stored. */
  noted(id: number, error?: string): void
  /** Accepts no more requests, answers those under way, closes the ledgers, then calls host.stopped(). */
  stop(): void
}

export interface Config {
  /** The tenant. */
  moduleId: string
  /** The ledger's origin; the audit sub-ledger's is `<origin>/audit`. */
  origin: string
  /** Verifier keys of the ledger and of the audit sub-ledger. */
  vkeys: [main: string, audit: string]
  /** Bytes of the data region shared with PSDB. */
  regionBytes: number
  /** The software's version, shown in /v1/contract. */
  version: string
  /** Whether requests may have any host name; by default only a loopback address or localhost. */
  anyHostName?: boolean
  limits?: Partial<Limits>
  /** The high-water marks; absent if none are kept. */
  marks?: readonly [main: KnownMark, audit: KnownMark]
  /** Whether to open a ledger read-only if it lost acknowledged entries; by default the bundle does not open it. */
  readsOn?: boolean
}

/** The high-water mark of one ledger: its newest acknowledged tree, as far as the machine knows. */
export interface KnownMark {
  /** The name, in errors, of the place that keeps the mark. */
  name: string
  /** Absent if nothing was acknowledged yet. */
  size?: number
  /** In base64; absent if only the size is known. */
  root?: string
  /** The reason why the mark cannot be read. */
  problem?: string
  /** The size of the tree that an operator accepts although it contradicts the mark. */
  accept?: number
}

/** Sizes are in bytes, times in milliseconds. */
export interface Limits {
  /** The request line, and the whole head of a request. */
  requestLine: number
  head: number
  /** The time for the head of a request, and for the whole request. */
  headTimeout: number
  requestTimeout: number
  /** How long a connection may be idle between requests, or stall within one. */
  idleTimeout: number
  /** The most open connections. */
  connections: number
  /** The sum of all request bodies in memory. */
  bodies: number
  /** The sum of all answers that wait to be sent. */
  answers: number
  /** How long a stop waits for requests under way. */
  drainTimeout: number
  /** One record's payload. */
  payload: number
  /** The body of a batch. */
  batch: number
}

/** The global that the bundle finds, and the global that it sets. */
export interface Globals {
  host: Host
  serviceFs: ServiceFs
}
