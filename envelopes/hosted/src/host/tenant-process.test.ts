import { EventEmitter } from 'node:events'
import type { ChildProcess } from 'node:child_process'
import { PassThrough } from 'node:stream'
import { afterEach, expect, it, vi } from 'vitest'
import { HostedError } from '@service-fs/http/errors'
import { ChildChannel } from './channel.ts'
import type { Child, Ended } from './child.ts'
import { Slots } from './slots.ts'
import { TENANT_TIMES, TenantProcess, type TenantTimes } from './tenant-process.ts'

/** A child that the test controls. */
class FakeChild implements Child {
  readonly process = new EventEmitter() as ChildProcess
  readonly channel = new ChildChannel(new PassThrough())
  readonly pid: number
  readonly ready: Promise<unknown>
  readonly ended: Promise<Ended>
  becomeReady!: () => void
  #end!: (ended: Ended) => void

  constructor(pid: number) {
    this.pid = pid
    this.ended = new Promise((resolve) => (this.#end = resolve))
    this.ready = new Promise((resolve, reject) => {
      this.becomeReady = () => resolve({})
      void this.ended.then(() => reject(new HostedError('start', 'ended before it was ready')))
    })
    this.ready.catch(() => undefined)
    this.process.kill = (signal) => {
      this.end(signal as NodeJS.Signals)
      return true
    }
  }

  end(signal: NodeJS.Signals): void {
    this.#end({ code: null, signal })
  }

  stop(): Promise<Ended> {
    this.end('SIGTERM')
    return this.ended
  }
}

interface Bench {
  tenant: TenantProcess
  children: FakeChild[]
  lines: string[]
  gone: () => number
}

function bench(
  times: Partial<TenantTimes> = {},
  isReady: (start: number) => boolean | undefined = () => true,
): Bench {
  const children: FakeChild[] = []
  const lines: string[] = []
  let gone = 0
  const log = {
    info: (line: string) => void lines.push(line),
    warn: (line: string) => void lines.push(line),
    error: (error: unknown) => void lines.push(String(error)),
  }
  const tenant = new TenantProcess({
    moduleId: 'acme',
    socket: '/s',
    slots: new Slots(2),
    log,
    gone: () => (gone += 1),
    times: { ...TENANT_TIMES, ...times },
    launch: () => {
      const child = new FakeChild(children.length + 1)
      children.push(child)
      const ready = isReady(children.length)
      if (ready === true) child.becomeReady()
      if (ready === false) child.end('SIGABRT')
      return Promise.resolve(child)
    },
  })
  return { tenant, children, lines, gone: () => gone }
}

afterEach(() => void vi.useRealTimers())

/** Stops the clock, so that the delay before a start does not become shorter while the test runs. Timers still run. */
const stopClock = (): void => void vi.useFakeTimers({ toFake: ['Date'] })

const until = (holds: () => boolean): Promise<void> => expect.poll(holds, { interval: 5 }).toBe(true)

it('a tenant’s process starts once for many callers, and stops when idle', async () => {
  const { tenant, children, gone } = bench()
  expect([tenant.state, tenant.pid]).toEqual(['stopped', undefined])
  expect(await Promise.all([tenant.reach(), tenant.reach(), tenant.reach()])).toEqual(['/s', '/s', '/s'])
  expect([tenant.state, tenant.pid, children.length]).toEqual(['running', 1, 1])
  const idle = tenant.idle()
  expect([tenant.state, gone()]).toEqual(['stopping', 1])
  // A caller during the stop waits for the next process.
  const again = tenant.reach()
  await idle
  expect(await again).toBe('/s')
  expect([tenant.state, tenant.pid]).toEqual(['running', 2])
})

it('the host restarts and logs a process that ended by itself', async () => {
  const { tenant, children, lines, gone } = bench()
  await tenant.reach()
  children[0]?.end('SIGKILL')
  await until(() => tenant.pid === 2 && tenant.state === 'running')
  expect(gone()).toBe(1)
  expect(lines).toEqual(['tenant started', 'tenant ended by itself', 'tenant started'])
})

it('the host backs off when the process keeps ending, and rejects callers meanwhile', async () => {
  stopClock()
  const { tenant, children } = bench({ patience: 400 })
  await tenant.reach()
  for (let count = 1; count <= 3; count++) {
    children[count - 1]?.end('SIGKILL')
    if (count < 3) await until(() => tenant.pid === count + 1)
  }
  await until(() => tenant.state === 'waiting')
  await expect(tenant.reach()).rejects.toMatchObject({
    code: 'tenant-unavailable',
    message: expect.stringMatching(/keeps ending.* in 1 s/),
  })
  await until(() => tenant.pid === 4)
  expect(await tenant.reach()).toBe('/s')
})

it('the host retries a failed start for a while, then only on request', async () => {
  stopClock()
  const { tenant, children } = bench({ patience: 400 }, (start) => start > 4)
  await expect(tenant.reach()).rejects.toMatchObject({
    code: 'tenant-unavailable',
    message: expect.stringMatching(/does not start.* in 1 s/),
  })
  expect(children).toHaveLength(3)
  await expect(tenant.reach()).rejects.toMatchObject({ code: 'tenant-unavailable' })
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect([tenant.state, children.length]).toEqual(['stopped', 3])
  const patient = bench({}, (start) => start > 3)
  expect(await patient.tenant.reach()).toBe('/s')
  expect(patient.children).toHaveLength(4)
})

it('the host limits how long a caller waits and how long a start takes', async () => {
  const { tenant, children } = bench({ reach: 30, start: 60 }, () => undefined)
  await expect(tenant.reach()).rejects.toMatchObject({ message: 'acme: its process is still starting' })
  expect(tenant.state).toBe('starting')
  await until(() => tenant.state === 'stopped')
  expect(await children[0]?.ended).toEqual({ code: null, signal: 'SIGKILL' })
})

it('a tenant’s process does not start after it is closed', async () => {
  const { tenant, children } = bench()
  await tenant.reach()
  await tenant.close()
  expect(tenant.state).toBe('stopped')
  await expect(tenant.reach()).rejects.toMatchObject({ code: 'tenant-unavailable' })
  expect(children).toHaveLength(1)
})
