// Runs the wire protocol's conformance suite through a front and the process of a tenant.
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nativeCrypto } from '@service-fs/native/native'
import { wireConformance } from '@service-fs/wire/conformance'
import type { WireSubject } from '@service-fs/wire/conformance-tools'
import { describe, expect, it } from 'vitest'
import { startFront } from '../../envelopes/hosted/src/front/front.ts'
import type { HttpServer } from '../../packages/http/src/listener.ts'
import { Asker } from '../envelopes/ask.ts'
import { daemonBuilt, serviceFs } from '../support/daemon.ts'
import { collect, end, hasExited, sleep } from '../support/process.ts'

const TENANT = 'acme'
const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

class BehindFront implements WireSubject {
  readonly #dir: string
  #child: ChildProcess | undefined
  #front: HttpServer | undefined
  #asker: Asker | undefined

  static async open(): Promise<BehindFront> {
    const subject = new BehindFront(await mkdtemp(join(tmpdir(), 'front-')))
    await subject.#launch()
    const socket = join(subject.#dir, 'socket')
    subject.#front = await startFront({
      listen: { host: '127.0.0.1', port: 0 },
      access: { open: true, check: async () => ({ subject: 'anonymous', roles: undefined }) },
      tenants: {
        has: (moduleId) => moduleId === TENANT,
        reach: async () => socket,
        began: () => undefined,
        ended: () => undefined,
      },
      report: (error) => {
        throw error
      },
    })
    subject.#asker = new Asker(Number(new URL(subject.#front.url).port))
    return subject
  }

  private constructor(dir: string) {
    this.#dir = dir
  }

  async #launch(): Promise<void> {
    const args = ['serve', '--json', '--module-id', TENANT, '--root', this.#dir, '--behind-front']
    const child = spawn(process.execPath, [serviceFs, ...args, '--listen', `unix:${this.#dir}/socket`], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    running.add(child)
    child.once('exit', () => running.delete(child))
    this.#child = child
    const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
    while (!stdout().includes('\n')) {
      if (hasExited(child)) throw new Error(stderr())
      await sleep(10)
    }
  }

  request: WireSubject['request'] = async (...question) => {
    if (this.#asker === undefined) throw new Error('not open')
    return this.#asker.ask(...question)
  }

  reopen = async (how: 'stop' | 'kill'): Promise<void> => {
    if (this.#child !== undefined) await end(this.#child, how === 'stop' ? 'SIGTERM' : 'SIGKILL')
    await this.#launch()
  }

  dispose = async (): Promise<void> => {
    this.#asker?.close()
    await this.#front?.stop(1000)
    if (this.#child !== undefined) await end(this.#child, 'SIGKILL')
    await rm(this.#dir, { recursive: true, force: true })
  }
}

/** Excluded: a host with many tenants names no tenant as the expected one, and answers 404 for an unknown one (front.test.ts). */
const ABOUT_ONE_TENANT = 'requires the tenant in the header or in the path'

const test = {
  describe,
  expect,
  it(name: string, run: () => Promise<void>): void {
    if (name !== ABOUT_ONE_TENANT) it(name, run)
  },
}

describe.skipIf(!daemonBuilt)('over HTTP', () => {
  wireConformance({
    name: "a host's front",
    test,
    crypto: nativeCrypto,
    open: () => BehindFront.open(),
  })
})
