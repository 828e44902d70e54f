// The daemons of both envelopes as processes, with the test's wall clock, asked over HTTP.

import { spawn, type ChildProcess } from 'node:child_process'
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { WireSubject } from '@service-fs/wire/conformance-tools'
import { serviceFs } from '../support/daemon.ts'
import { collect, end, hasExited, sleep } from '../support/process.ts'
import { repoRoot } from '../support/root.ts'
import { Asker } from './ask.ts'
import { MODULE_ID } from './core.ts'
import { fastDirectory, testRuntime } from './cores.ts'

export type Envelope = 'a' | 'b'

export interface EnvelopeDaemon extends WireSubject {
  readonly advance: (ms: number) => Promise<void>
  /** `http://127.0.0.1:PORT/` */
  readonly url: () => string
  /** The place of the ledger: a directory or a disk image. */
  readonly place: string
  /** The directory of its private keys. */
  readonly secret: string
  readonly stop: () => Promise<void>
  readonly launch: () => Promise<void>
  /** The process's resident memory (VmRSS). */
  readonly residentBytes: () => Promise<number>
}

/** Whether the parts of Envelope B's daemon are built. */
export const bundleBuilt: boolean = existsSync(join(repoRoot, 'envelopes/sel4/bundle/dist/bundle.js'))

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Starts a daemon on a new ledger. `secret` is a directory of private keys to start with; by default the daemon makes its own. */
export async function startEnvelope(envelope: Envelope, secret?: string): Promise<EnvelopeDaemon> {
  const dir = await fastDirectory()
  const daemon = new Daemon(envelope, dir)
  await daemon.setClock(testRuntime().time)
  if (secret !== undefined) {
    await mkdir(daemon.secret, { recursive: true, mode: 0o700 })
    for (const name of ['ed25519.key', 'audit-ed25519.key'])
      await cp(join(secret, name), join(daemon.secret, name))
  }
  await daemon.launch()
  return daemon
}

class Daemon implements EnvelopeDaemon {
  readonly place: string
  readonly secret: string
  readonly #envelope: Envelope
  readonly #dir: string
  #clock = 0
  #child: ChildProcess | undefined
  #url = ''
  #asker: Asker | undefined

  constructor(envelope: Envelope, dir: string) {
    this.#envelope = envelope
    this.#dir = dir
    this.place = join(dir, envelope === 'a' ? MODULE_ID : 'disk.img')
    this.secret = join(dir, '.secret', MODULE_ID)
  }

  url = (): string => this.#url

  async setClock(time: number): Promise<void> {
    this.#clock = time
    await writeFile(join(this.#dir, 'clock'), `${time}`)
  }

  advance = (ms: number): Promise<void> => this.setClock(this.#clock + ms)

  async launch(): Promise<void> {
    const where =
      this.#envelope === 'a'
        ? ['--root', this.#dir]
        : ['--envelope', 'b', '--disk', this.place, '--disk-size', '1G']
    const options = ['--module-id', MODULE_ID, '--listen', '127.0.0.1:0', '--json']
    const child = spawn(
      process.execPath,
      ['--import', join(repoRoot, 'test/envelopes/clock.mjs'), serviceFs, 'serve', ...where, ...options],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, SERVICE_FS_TEST_CLOCK: join(this.#dir, 'clock') },
      },
    )
    this.#child = child
    running.add(child)
    child.once('exit', () => running.delete(child))
    const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
    while (!stdout().includes('\n')) {
      if (hasExited(child)) throw new Error(`service-fs serve ended with ${child.exitCode}: ${stderr()}`)
      await sleep(5)
    }
    this.#url = (JSON.parse(stdout()) as { url: string }).url
    this.#asker = new Asker(Number(new URL(this.#url).port))
  }

  request: WireSubject['request'] = async (...question) => {
    if (this.#asker === undefined) throw new Error('the daemon is not running')
    return this.#asker.ask(...question)
  }

  reopen = async (how: 'stop' | 'kill'): Promise<void> => {
    await this.#end(how === 'stop' ? 'SIGTERM' : 'SIGKILL')
    await this.launch()
  }

  stop = (): Promise<void> => this.#end('SIGTERM')

  residentBytes = async (): Promise<number> => {
    const status = await readFile(`/proc/${this.#child?.pid ?? 0}/status`, 'utf8')
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    // A clean stop waits for idle connections.
    this.#asker?.close()
    this.#asker = undefined
    if (child !== undefined) await end(child, signal)
    if (signal === 'SIGTERM' && child?.exitCode !== 0)
      throw new Error(`a clean stop ended with ${child?.exitCode}`)
  }

  dispose = async (): Promise<void> => {
    await this.#end('SIGKILL')
    await rm(this.#dir, { recursive: true, force: true, maxRetries: 10 })
  }
}
