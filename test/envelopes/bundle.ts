// Envelope B's core: the bundle over a test host and the real storage server.

import { nativeCodec, nativeCrypto, nativeHasher } from '@service-fs/native/native'
import type { PsdbChannel } from '@service-fs/engine-host/psdb/channel'
import type { Config, Host, ServiceFs } from '@service-fs/bundle/host'
import { createService } from '@service-fs/bundle/service'
import type { WireAnswer, WireSubject } from '@service-fs/wire/conformance-tools'
import { openInProcess } from '@service-fs/wire/in-process'
import { MODULE_ID, type Core } from './core.ts'
import { exact, exportBoth, keys, ORIGIN, Randomness, testRuntime } from './cores.ts'
import { parseAnswer, requestBytes } from './http-text.ts'
import type { PsdbPlace } from './psdb.ts'

/** The bundle over a host, in Node.js or in an engine. */
export interface Loaded {
  readonly service: ServiceFs
  /** Discards it without stopping it. */
  readonly dispose: () => void
}

export type Load = (host: Host) => Promise<Loaded>

/** The bundle's source in Node.js. */
export const inNode: Load = async (host) => ({ service: createService(host), dispose: () => undefined })

/** The number of bytes that arrive at a time. */
const CHUNK = 65_536

/** The bytes that the service sends on a connection. */
interface Connection {
  readonly parts: Buffer[]
  readonly ended: () => void
}

/** One run of the service and its machine. */
class Life implements Host {
  readonly clock: { time: number }
  readonly #channel: PsdbChannel
  readonly #random: Randomness
  readonly #connections = new Map<number, Connection>()
  #service: ServiceFs | undefined
  #nextConnection = 1
  #monotonic = 0
  #timer = -1
  #isOver = false
  #whenStarted: (error?: Error) => void = () => undefined
  #whenStopped: (error?: Error) => void = () => undefined
  readonly logged: string[] = []

  constructor(channel: PsdbChannel, clock: { time: number }, random: Randomness) {
    this.#channel = channel
    this.clock = clock
    this.#random = random
  }

  async start(service: ServiceFs): Promise<void> {
    this.#service = service
    this.#channel.listen({
      received: (message) => this.#call((to) => to.psdb(exact(message))),
      failed: () => this.end(),
    })
    const started = new Promise<void>((resolve, reject) => {
      this.#whenStarted = (error) => (error === undefined ? resolve() : reject(error))
    })
    const vkeys: Config['vkeys'] = [keys.main.signer.vkey, keys.audit.signer.vkey]
    const { regionBytes } = this.#channel
    const config: Config = { moduleId: MODULE_ID, origin: ORIGIN, vkeys, regionBytes, version: '0.0.0' }
    this.#call((to) => to.start(JSON.stringify(config)))
    await started
  }

  async stop(): Promise<void> {
    const stopped = new Promise<void>((resolve, reject) => {
      this.#whenStopped = (error) => (error === undefined ? resolve() : reject(error))
    })
    this.#call((to) => to.stop())
    await stopped
    this.end()
  }

  /** Cuts the power: nothing enters or leaves the service any more. */
  end(): void {
    this.#isOver = true
    for (const { ended } of this.#connections.values()) ended()
  }

  /** `isEnded`: the client ends its side with the request. */
  async request(bytes: Uint8Array, isEnded: boolean): Promise<Buffer> {
    const id = this.#nextConnection++
    const parts: Buffer[] = []
    const ended = new Promise<void>((resolve) => this.#connections.set(id, { parts, ended: resolve }))
    this.#call((to) => to.opened(id))
    for (let at = 0; at < bytes.length && this.#connections.has(id); at += CHUNK) {
      this.#call((to) => to.data(id, exact(bytes.subarray(at, at + CHUNK))))
    }
    if (isEnded && this.#connections.has(id)) this.#call((to) => to.data(id, new ArrayBuffer(0)))
    await ended
    return Buffer.concat(parts)
  }

  advance(ms: number): void {
    this.clock.time += ms
    this.#monotonic += Math.max(0, ms)
    this.timer(this.#timer)
  }

  #call(act: (service: ServiceFs) => void): void {
    if (!this.#isOver && this.#service !== undefined) act(this.#service)
  }

  now = (): number => this.clock.time
  monotonic = (): number => this.#monotonic
  random = (bytes: number): ArrayBuffer => exact(this.#random.bytes(bytes))
  log = (text: string): void => void this.logged.push(text)
  sha256 = (bytes: ArrayBuffer): ArrayBuffer => exact(nativeHasher.sha256(new Uint8Array(bytes)))
  hashLeaf = (bytes: ArrayBuffer): string => nativeHasher.leaf(new Uint8Array(bytes))
  hashNode = (left: string, right: string): string => nativeHasher.node(left, right)
  utf8Encode = (text: string): ArrayBuffer => exact(Buffer.from(text))
  base64Encode = (bytes: ArrayBuffer): string => nativeCodec.base64Encode(new Uint8Array(bytes))

  utf8Decode = (bytes: ArrayBuffer): string | undefined => {
    const text = attempt(() => nativeCodec.utf8Decode(new Uint8Array(bytes)))
    return text?.includes('\0') === true ? undefined : text
  }

  base64Decode = (text: string): ArrayBuffer | undefined =>
    attempt(() => exact(nativeCodec.base64Decode(text)))

  ed25519Verify = (key: ArrayBuffer, message: ArrayBuffer, signature: ArrayBuffer): boolean =>
    nativeCrypto.ed25519Verify?.(new Uint8Array(signature), new Uint8Array(message), new Uint8Array(key)) ===
    true

  sign = (ledger: number, id: number, text: string): void => {
    const { signer } = ledger === 0 ? keys.main : keys.audit
    void Promise.resolve(signer.sign(text)).then((lines) => this.#call((to) => to.signed(id, lines)))
  }

  psdbPut = (offset: number, bytes: ArrayBuffer): void => this.#channel.put(offset, new Uint8Array(bytes))
  psdbGet = (offset: number, length: number): ArrayBuffer => exact(this.#channel.get(offset, length))
  psdbSend = (message: ArrayBuffer): void => {
    if (!this.#isOver) this.#channel.send(new Uint8Array(message))
  }

  netSend = (connection: number, bytes: ArrayBuffer): boolean => {
    this.#connections.get(connection)?.parts.push(Buffer.from(bytes))
    return true
  }

  netClose = (connection: number): void => {
    this.#connections.get(connection)?.ended()
    this.#connections.delete(connection)
    setImmediate(() => this.#call((to) => to.closed(connection)))
  }

  netPause = (): void => undefined
  netResume = (): void => undefined

  timer = (at: number): void => {
    this.#timer = at
    if (at < 0 || at > this.#monotonic) return
    setImmediate(() => {
      if (this.#timer !== at) return
      this.#timer = -1
      this.#call((to) => to.tick())
    })
  }

  started = (): void => this.#whenStarted()
  stopped = (error?: string): void => {
    if (error === undefined) this.#whenStopped()
    else for (const told of [this.#whenStarted, this.#whenStopped]) told(new Error(error))
  }
}

function attempt<T>(decode: () => T): T | undefined {
  try {
    return decode()
  } catch {
    return undefined
  }
}

/** Opens a core: the bundle over the disk of a place. */
export async function openBundleCore(place: PsdbPlace, load: Load): Promise<Core & WireSubject> {
  const clock = { time: testRuntime().time }
  let lives = 0
  let loaded: Loaded | undefined
  const begin = async (): Promise<Life> => {
    const channel = await place.channel()
    const life = new Life(channel, clock, new Randomness(++lives))
    loaded = await load(life)
    await life.start(loaded.service)
    return life
  }
  let life = await begin()
  const end = async (how: 'stop' | 'kill'): Promise<void> => {
    if (how === 'stop') await life.stop()
    else life.end()
    loaded?.dispose()
    await (how === 'stop' ? place.close() : place.drop())
  }
  const restart = async (how: 'stop' | 'kill'): Promise<void> => {
    await end(how)
    life = await begin()
  }
  return {
    async request(method, target, headers, body): Promise<WireAnswer> {
      // A follower's connection closes when the client ends its side; any other request still gets its answer.
      const isEnded = !target.startsWith('/v1/follow')
      return parseAnswer(await life.request(requestBytes(method, target, headers, body), isEnded), method)
    },
    advance: async (ms) => life.advance(ms),
    restart,
    reopen: restart,
    async export() {
      await end('stop')
      return exportDisk(place)
    },
    async dispose() {
      life.end()
      loaded?.dispose()
      await place.drop()
      await place.dispose()
    },
  }
}

/** Exports the disk of a place, opened without the bundle. */
async function exportDisk(place: PsdbPlace): Promise<Map<string, string>> {
  const options = { moduleId: MODULE_ID, keys, runtime: testRuntime(), requestId: () => '' }
  const server = await openInProcess({ ...options, storages: await place.open() })
  try {
    return await exportBoth(server)
  } finally {
    await server.close()
    await place.close()
  }
}
