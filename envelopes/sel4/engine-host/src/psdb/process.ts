/** PSDB as a child process: one disk image, and a channel for each tenant. */
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

/** The states in psdb-host's first frame: microkit/psdb/setup.h. */
export const STATE = { OPENING: 0, READY: 1, READ_ONLY: 2, STOPPED: 3 } as const
const PROTOCOL = 1
const REGION_BYTES = 32 * 1024 * 1024
const MAX_REPORT_BYTES = 1024 * 1024
/** Exit status: another process has the disk. */
const LOCKED = 3
/** How often to try while the process of a killed client still has the disk: it first finishes its requests. */
const LOCK_TRIES = 20
const LOCK_PAUSE_MS = 50

export interface PsdbProcessOptions {
  /** Path of the disk image. */
  readonly disk: string
  /** Bytes of the disk, a multiple of 512. Creates a missing image, and enlarges a smaller one. */
  readonly size?: number
  /** The moduleIds, at least one. */
  readonly tenants: readonly string[]
  /** Bytes of each tenant's data region. */
  readonly region?: number
  /** The executable, by default the one built in this checkout, and arguments to put before the others. */
  readonly binary?: string
  readonly args?: readonly string[]
  /** Receives each line that the process writes to its standard error. */
  readonly report?: (line: string) => void
}

export interface PsdbExit {
  readonly code: number | null
  readonly signal: string | null
}

export interface PsdbProcess {
  readonly pid: number | undefined
  /** One of STATE: the state after opening the disk. */
  readonly state: number
  /** The report of opening the disk; may be empty. */
  readonly report: string
  /** Returns the tenant's channel, for callers with their own client. */
  channel(tenant: string): PsdbChannel
  /** Returns the tenant's client, which then owns the channel. */
  client(tenant: string): PsdbClient
  /** Resolves when the process has ended. */
  readonly exited: Promise<PsdbExit>
  /** Ends the process at once (SIGKILL). */
  kill(): void
  /** Lets the process finish its requests. Rejects with StorageError 'io' if it fails. May be called again. */
  close(): Promise<void>
}

/** The path of psdb-host, relative to this file, and to app/dist, into which this file is bundled. */
const BUILT = ['../../dist/psdb-host', '../../envelopes/sel4/engine-host/dist/psdb-host']

/** Returns the path of the psdb-host that was built in this checkout. @throws PsdbHostError `not-built` */
export function findPsdbHost(): string {
  const path = BUILT.map((place) => fileURLToPath(new URL(place, import.meta.url))).find(existsSync)
  if (path !== undefined) return path
  const needs = 'make, a C compiler and the OpenSSL headers (libssl-dev, openssl-devel)'
  throw new PsdbHostError('not-built', `psdb-host is not built: install ${needs}, then run npm run build`)
}

/**
 * Opens a disk image. Resolves when the disk has been read. Rejects with a PsdbHostError, or a StorageError: 'locked' (another
 * process has had it for a second), 'corrupt' (the message is the report), 'io' (the process did not start, or ended).
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
  /** Frames to send together at the end of the current turn of the event loop. */
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
    // Detached, so that signals to this process group do not reach the child. It ends when its standard input does.
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
    // Ignore the error: the process has ended, and its end is reported.
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

  /** Kills a process that violates the protocol. */
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
