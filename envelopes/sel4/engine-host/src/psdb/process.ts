/** PSDB in a child process: one disk file, several tenants, each with a channel of its own. */
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { StorageError } from '@service-fs/storage/errors'
import { PsdbClient } from '@service-fs/storage-psdb/client'
import { PsdbChannel } from './channel.ts'
import { PsdbHostError } from './errors.ts'
import { FrameReader, frameHead, HELLO } from './frames.ts'

/** States that psdb-host begins with: microkit/psdb/store.h. */
export const STATE = { OPENING: 0, READY: 1, READ_ONLY: 2, STOPPED: 3 } as const
const PROTOCOL = 1
const REGION_BYTES = 32 * 1024 * 1024
const MAX_REPORT_BYTES = 1024 * 1024
/** Exit status: another process has the disk. */
const LOCKED = 3
/** How long the process of a client that was killed is waited for: it finishes what it has begun. */
const LOCK_TRIES = 20
const LOCK_PAUSE_MS = 50

export interface PsdbProcessOptions {
  /** Path of the disk image. */
  readonly disk: string
  /** Bytes of the disk, a multiple of 512; makes the file where there is none, and a smaller one larger. */
  readonly size?: number
  /** The moduleIds, at least one. */
  readonly tenants: readonly string[]
  /** Bytes of each tenant's data region. */
  readonly region?: number
  /** The executable, by default the one that was built here, and arguments to go before the others. */
  readonly binary?: string
  readonly args?: readonly string[]
  /** Called with each line that the process writes to its standard error. */
  readonly report?: (line: string) => void
}

export interface PsdbExit {
  readonly code: number | null
  readonly signal: string | null
}

export interface PsdbProcess {
  readonly pid: number | undefined
  /** Of STATE, when the disk was opened. */
  readonly state: number
  /** What was found at opening; may be empty. */
  readonly report: string
  /** The tenant's channel, for who brings a client of his own. */
  channel(tenant: string): PsdbChannel
  /** The tenant's client; from then on its channel belongs to it. */
  client(tenant: string): PsdbClient
  /** Resolves when the process is gone. */
  readonly exited: Promise<PsdbExit>
  /** Ends the process at once (SIGKILL). */
  kill(): void
  /** Lets it finish what is under way. Rejects with StorageError 'io' unless it ends well. Closing again is fine. */
  close(): Promise<void>
}

/** Where psdb-host is, from this file and from app/dist, where it is bundled to. */
const BUILT = ['../../dist/psdb-host', '../../envelopes/sel4/engine-host/dist/psdb-host']

/** Path of the psdb-host that was built in this checkout. @throws PsdbHostError `not-built` */
export function findPsdbHost(): string {
  const path = BUILT.map((place) => fileURLToPath(new URL(place, import.meta.url))).find(existsSync)
  if (path !== undefined) return path
  const needs = 'make, a C compiler and the OpenSSL headers (libssl-dev, openssl-devel)'
  throw new PsdbHostError('not-built', `psdb-host is not built: install ${needs}, then run npm run build`)
}

/**
 * Opens a disk image; resolves when the disk has been read. Errors: PsdbHostError; StorageError 'locked' (another process has
 * it, for a second at least), 'corrupt' (its report is the message), 'io' (the process cannot be started, or ended).
 */
export async function openPsdbProcess(options: PsdbProcessOptions): Promise<PsdbProcess> {
  for (let tries = 1; ; tries++) {
    try {
      return await openOnce(options)
    } catch (error) {
      const isLocked = error instanceof StorageError && error.code === 'locked'
      if (!isLocked || tries === LOCK_TRIES) throw error
      await sleep(LOCK_PAUSE_MS)
    }
  }
}

async function openOnce(options: PsdbProcessOptions): Promise<PsdbProcess> {
  const host = new HostProcess(options)
  try {
    await host.opened
  } catch (error) {
    await host.exited
    throw error
  }
  return host
}

class HostProcess implements PsdbProcess {
  state: number = STATE.OPENING
  report = ''
  readonly opened: Promise<void>
  readonly exited: Promise<PsdbExit>
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #channels: readonly PsdbChannel[]
  readonly #clients = new Map<string, PsdbClient>()
  readonly #tenants: readonly string[]
  readonly #report: (line: string) => void
  /** Frames that go out together when the current turn of the event loop is over. */
  #out: Uint8Array[] = []
  #lastLine = ''
  #failure: StorageError | undefined
  #closing: Promise<void> | undefined
  #isOpen: (error?: StorageError) => void = () => undefined

  constructor(options: PsdbProcessOptions) {
    const region = options.region ?? REGION_BYTES
    this.#tenants = options.tenants
    this.#report = options.report ?? (() => undefined)
    this.#channels = options.tenants.map(
      (_, number) => new PsdbChannel(region, (message, data) => this.#send(number, message, data)),
    )
    this.opened = new Promise((resolve, reject) => {
      this.#isOpen = (error) => (error === undefined ? resolve() : reject(error))
    })
    // Signals to this process's group are not for the child: it ends when its standard input does.
    this.#child = spawn(
      options.binary ?? findPsdbHost(),
      [...(options.args ?? []), ...argumentsFor(options)],
      {
        stdio: ['pipe', 'pipe', 'pipe'],
        detached: true,
      },
    )
    this.exited = this.#watch()
    this.#read(region)
  }

  channel(tenant: string): PsdbChannel {
    const channel = this.#channels[this.#tenants.indexOf(tenant)]
    if (channel === undefined)
      throw new RangeError(`tenant ${tenant}: the process has ${this.#tenants.join()}`)
    return channel
  }

  client(tenant: string): PsdbClient {
    const known = this.#clients.get(tenant)
    if (known !== undefined) return known
    const channel = this.channel(tenant)
    const client = new PsdbClient(channel, Date.now)
    channel.listen(client)
    this.#clients.set(tenant, client)
    return client
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#flush()
    this.#child.stdin.end()
    const exit = await this.exited
    if (exit.code !== 0) throw this.#ended(exit)
  }

  #watch(): Promise<PsdbExit> {
    const { stdin, stderr } = this.#child
    // The end of the process tells of it.
    stdin.on('error', () => undefined)
    let line = ''
    stderr.setEncoding('utf8').on('data', (text: string) => {
      const lines = (line + text).split('\n')
      line = lines.pop()?.slice(0, 4096) ?? ''
      for (const whole of lines) this.#line(whole)
    })
    return new Promise((resolve) => {
      this.#child.once('error', (cause) => {
        this.#fail(new StorageError('io', 'psdb-host: cannot be started', { cause }))
        resolve({ code: null, signal: null })
      })
      this.#child.once('close', (code, signal) => {
        if (line !== '') this.#line(line)
        this.#fail(this.#ended({ code, signal }))
        resolve({ code, signal })
      })
    })
  }

  #line(line: string): void {
    this.#lastLine = line
    this.#report(line)
  }

  #ended({ code, signal }: PsdbExit): StorageError {
    const said = this.#lastLine === '' ? '' : `: ${this.#lastLine}`
    return code === LOCKED
      ? new StorageError('locked', `psdb-host${said === '' ? ': the disk is in use' : said}`)
      : new StorageError('io', `psdb-host: ended with ${code ?? signal ?? 'an error'}${said}`)
  }

  #read(region: number): void {
    const { stdout } = this.#child
    const reader = new FrameReader(
      (channel) =>
        this.state === STATE.OPENING ? maxHello(channel) : channel < this.#channels.length ? region : -1,
      (channel, message, data) => {
        if (this.state === STATE.OPENING) this.#hello(message, data)
        else this.#channels[channel]?.receive(message, data)
      },
    )
    stdout.on('data', (chunk: Uint8Array) => {
      if (this.#failure !== undefined) return
      try {
        reader.push(chunk)
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
        this.#distrust(error.message)
      }
    })
  }

  #hello(message: Uint8Array, text: Uint8Array): void {
    const view = new DataView(message.buffer, message.byteOffset)
    const [protocol, state] = [view.getUint32(0, true), view.getUint32(4, true)]
    if (protocol !== PROTOCOL) return this.#distrust(`protocol ${protocol}, expected ${PROTOCOL}`)
    this.state = state
    this.report = Buffer.from(text).toString()
    if (state === STATE.READY || state === STATE.READ_ONLY) return this.#isOpen()
    this.#child.stdin.end()
    this.#fail(new StorageError('corrupt', `disk: ${this.report.trimEnd()}`))
  }

  /** The process does not keep to the protocol: nothing that it says counts any more. */
  #distrust(problem: string): void {
    this.#fail(new StorageError('io', `psdb-host: ${problem}`))
    this.kill()
  }

  #fail(error: StorageError): void {
    this.#failure ??= error
    this.#isOpen(this.#failure)
    for (const channel of this.#channels) channel.fail(this.#failure)
  }

  #send(number: number, message: Uint8Array, data: Uint8Array): void {
    if (this.#out.length === 0) process.nextTick(() => this.#flush())
    this.#out.push(frameHead(number, message, data.length))
    if (data.length > 0) this.#out.push(data)
  }

  #flush(): void {
    const { stdin } = this.#child
    const out = this.#out
    this.#out = []
    if (!stdin.writable) return
    stdin.cork()
    for (const bytes of out) stdin.write(bytes)
    stdin.uncork()
  }
}

function argumentsFor({ disk, size, tenants, region }: PsdbProcessOptions): string[] {
  return [
    '--disk',
    disk,
    ...(size === undefined ? [] : ['--size', `${size}`]),
    ...tenants.flatMap((tenant) => ['--tenant', tenant]),
    '--region',
    `${region ?? REGION_BYTES}`,
  ]
}

function maxHello(channel: number): number {
  return channel === HELLO ? MAX_REPORT_BYTES : -1
}
