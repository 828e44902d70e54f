/** Envelope B on a Unix host: the bundle in QuickJS, its sockets, its signers, and PSDB as a child process. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { HighWaterMark } from '@service-fs/ledger/high-water-mark'
import type { PsdbReceiver } from './psdb/channel.ts'
import type { PsdbPort } from '@service-fs/storage-psdb/port'
import type { Signer } from '@service-fs/tlog/note'
import type { Config, ServiceFs } from '@service-fs/bundle/host'
import type { Head } from '@service-fs/ledger/head'
import { Engine, type EngineOptions, type HostFunction, type Value } from './engine.ts'
import { MACHINE } from './machine.ts'
import { knownMarks, type HostMarks } from './marks.ts'
import { Sockets, type Listen } from './sockets.ts'

/** A tenant's port to PSDB, and the setter of its receiver. */
export type Channel = PsdbPort & { listen(receiver: PsdbReceiver): void }

export interface ServiceOptions {
  config: Omit<Config, 'vkeys' | 'regionBytes' | 'marks'>
  /** The signers of the ledger and of the audit sub-ledger. The engine receives only signatures. */
  signers: readonly [main: Signer, audit: Signer]
  /** The high-water marks, and the sizes that an operator accepts. Without them the service keeps no marks. The caller closes them. */
  marks?: HostMarks
  listen: Listen
  channel: Channel
  /** Writes a line to the log. */
  log(line: string): void
  /** Called once, with the reason, if the service cannot continue. It answers no request after that. */
  failed(error: Error): void
  engine?: Partial<EngineOptions>
  /** The bundle's text and name; by default the bundle that was built in this checkout. */
  script?: { text: string; name: string }
}

export interface Service {
  readonly url: string
  /** Accepts no more requests, answers those under way, and closes the ledgers. */
  stop(): Promise<void>
}

/** The largest JSON body allowed takes 18 s of processor time and 850 MiB of memory if it is made of small members. */
const ENGINE: EngineOptions = { memoryBytes: 2 ** 30, callMs: 120_000 }

/** Opens the ledgers and listens. @throws Error if the ledgers cannot be opened, or the address is not available */
export async function startService(options: ServiceOptions): Promise<Service> {
  const service = new HostedService(options, await Engine.create({ ...ENGINE, ...options.engine }))
  await service.open(options.script ?? (await builtBundle()))
  return service
}

/** The paths of the bundle relative to this file, and relative to app/dist, where the bundled program is. */
const BUILT = ['../../bundle/dist/bundle.js', '../../envelopes/sel4/bundle/dist/bundle.js']

/** Returns the bundle that was built in this checkout. */
async function builtBundle(): Promise<{ text: string; name: string }> {
  const path = BUILT.map((place) => fileURLToPath(new URL(place, import.meta.url))).find(existsSync)
  if (path === undefined)
    throw new Error('the bundle of Envelope B is not built yet: run npm run build first')
  return { text: await readFile(path, 'utf8'), name: 'bundle.js' }
}

/** How long the last bytes of a connection may take to send after the ledgers are closed. */
const LAST_WORDS_MS = 1000

class HostedService implements Service {
  url = ''
  readonly #options: ServiceOptions
  readonly #engine: Engine
  readonly #sockets: Sockets
  #cancelTimer: () => void = () => undefined
  #failure: Error | undefined
  #isOver = false
  #started!: (error?: Error) => void
  #stopped!: (error?: Error) => void
  readonly #whenStarted: Promise<void>
  readonly #whenStopped: Promise<void>
  #stopping: Promise<void> | undefined

  constructor(options: ServiceOptions, engine: Engine) {
    this.#options = options
    this.#engine = engine
    this.#sockets = new Sockets({
      opened: (id) => this.#call('opened', id),
      data: (id, bytes) => this.#call('data', id, bytes),
      writable: (id) => this.#call('writable', id),
      closed: (id) => this.#call('closed', id),
    })
    this.#whenStarted = new Promise((resolve, reject) => {
      this.#started = (error) => (error === undefined ? resolve() : reject(error))
    })
    this.#whenStopped = new Promise((resolve, reject) => {
      this.#stopped = (error) => (error === undefined ? resolve() : reject(error))
    })
    // Waiters receive the error. Without a waiter, the error must not count as an unhandled rejection.
    this.#whenStarted.catch(() => undefined)
    this.#whenStopped.catch(() => undefined)
  }

  async open(script: { text: string; name: string }): Promise<void> {
    const { config, signers, channel, listen } = this.#options
    const [main, audit] = signers
    const known = await knownMarks(this.#options.marks)
    this.#engine.define('host', this.#functions())
    this.#engine.evaluate(script.text, script.name)
    this.#engine.bind('serviceFs')
    channel.listen({
      received: (message) => this.#call('psdb', message),
      failed: (error) => this.#fail(error),
    })
    const whole: Config = {
      ...config,
      vkeys: [main.vkey, audit.vkey],
      regionBytes: channel.regionBytes,
      ...(known === undefined ? {} : { marks: known }),
    }
    this.#call('start', JSON.stringify(whole))
    await this.#whenStarted
    try {
      this.url = await this.#sockets.listen(listen)
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    this.#sockets.stopListening()
    if (this.#failure === undefined) this.#call('stop')
    try {
      await this.#whenStopped
    } finally {
      this.#isOver = true
      this.#cancelTimer()
      // First let peers read the last bytes sent.
      setTimeout(() => this.#sockets.destroyAll(), LAST_WORDS_MS).unref()
    }
  }

  #call(method: keyof ServiceFs, ...given: readonly Value[]): void {
    if (this.#failure !== undefined || this.#isOver) return
    try {
      this.#engine.call(method, ...given)
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)))
    }
  }

  /** Ends all connections and reports the error. */
  #fail(error: Error): void {
    if (this.#failure !== undefined || this.#isOver) return
    this.#failure = error
    this.#cancelTimer()
    this.#sockets.stopListening()
    this.#sockets.destroyAll()
    this.#started(error)
    this.#stopped(error)
    this.#options.failed(error)
  }

  #functions(): Record<string, HostFunction> {
    const { channel } = this.#options
    return {
      ...MACHINE,
      ...this.#sockets.functions(),
      log: (given) => this.#options.log(given.text(0)),
      sign: (given) => this.#sign(given.number(0), given.number(1), given.text(2)),
      noteMark: (given) => {
        const [ledger, id, begins] = [given.number(0), given.number(1), given.number(2) === 1]
        this.#noteMark(ledger, id, begins, {
          size: given.number(3),
          root: given.text(4),
          note: given.text(5),
        })
      },
      markRemedy: (given) => this.#mark(given.number(0)).remedy(given.number(1)),
      // Copy the bytes: the engine reuses their memory when this function returns.
      psdbPut: (given) => channel.put(given.number(0), Buffer.from(given.bytes(1))),
      psdbGet: (given) => channel.get(given.number(0), given.number(1)),
      psdbSend: (given) => channel.send(Buffer.from(given.bytes(0))),
      timer: (given) => this.#setTimer(given.number(0)),
      started: () => this.#started(),
      stopped: (given) => this.#ended(given.optionalText(0)),
    }
  }

  /** Called when the bundle has closed the ledgers, or could not open them. */
  #ended(problem: string | undefined): void {
    const error = problem === undefined ? undefined : new Error(problem)
    this.#started(error)
    this.#stopped(error)
  }

  #sign(ledger: number, id: number, text: string): void {
    const signer = this.#options.signers[ledger]
    if (signer === undefined) throw new RangeError(`ledger ${ledger}: expected 0 or 1`)
    signer.sign(text).then(
      (lines) => this.#call('signed', id, lines),
      (error: unknown) =>
        this.#call('signed', id, undefined, error instanceof Error ? error.message : 'no signature'),
    )
  }

  /** Writes a mark. The bundle calls this only if there are marks. */
  #noteMark(ledger: number, id: number, begins: boolean, head: Head): void {
    const mark = this.#mark(ledger)
    const noted = begins ? mark.begin(head) : mark.note(head)
    noted.then(
      () => this.#call('noted', id),
      (error: unknown) => this.#call('noted', id, error instanceof Error ? error.message : 'not written'),
    )
  }

  #mark(ledger: number): HighWaterMark {
    const mark = this.#options.marks?.[ledger]?.mark
    if (mark === undefined) throw new RangeError(`ledger ${ledger}: expected one with a mark`)
    return mark
  }

  #setTimer(at: number): void {
    this.#cancelTimer()
    if (at < 0) return
    const tick = (): void => this.#call('tick')
    const delay = at - performance.now()
    if (delay <= 0) {
      // First handle the events that have already arrived.
      const immediate = setImmediate(tick)
      this.#cancelTimer = () => clearImmediate(immediate)
    } else {
      const timer = setTimeout(tick, Math.ceil(delay))
      this.#cancelTimer = () => clearTimeout(timer)
    }
  }
}
