// The network domain, with a test program in the ledgers' place: data in both directions, many connections,
// misbehaving peers, misbehaving ledgers.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Appliance } from '../../qemu/run.mjs'
import { Bench, image, needs, runs, variants } from './machine.ts'
import { freePort } from '../support/process.ts'
import { all, count, counted, echo, give, given, open, page } from './talk.ts'

const WAIT = 60_000
const MiB = 1024 * 1024
const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))
/** As many connections as the table holds. */
const times = <T>(n: number, task: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: n }, (_, index) => task(index)))

async function boot(bench: Bench, options: Parameters<typeof image>[1]) {
  const acme = await freePort()
  const globex = await freePort()
  const forward = [
    { host: acme, guest: 80 },
    { host: globex, guest: 8080 },
  ]
  const built = image('net', options)
  const appliance = bench.boot({ image: built, disk: { file: bench.disk() }, forward })
  await appliance.until(/\[net\] address 10\.0\.2\.15, /, WAIT)
  await appliance.until(/\[net\] acme has port 80\n/, WAIT)
  await appliance.until(/\[net\] globex has port 8080\n/, WAIT)
  return { appliance, acme, globex }
}

describe.skipIf(!runs)(`the network ${needs}`, () => {
  const bench = new Bench()
  let appliance: Appliance
  let acme: number
  let globex: number
  beforeAll(async () => {
    ;({ appliance, acme, globex } = await boot(
      bench,
      variants.find(({ config }) => config === 'release'),
    ))
  }, 2 * WAIT)
  afterAll(() => bench.end())

  it('has a port for each tenant', async () => {
    expect(await page(acme)).toBe('hello\n')
    expect(await page(globex)).toBe('hello\n')
  })

  it(
    'carries many bytes, complete and in order',
    async () => {
      const bytes = given(16 * MiB)
      let began = performance.now()
      const speed = () => `${((16 * 1000) / (performance.now() - began)).toFixed(1)} MiB/s`
      expect(await count(acme, bytes)).toBe(counted(bytes))
      const up = speed()
      began = performance.now()
      expect((await give(acme, bytes.length)).equals(bytes)).toBe(true)
      console.log(`one connection: to the ledger ${up}, from it ${speed()}`)
      const few = bytes.subarray(5, 2 * MiB)
      began = performance.now()
      expect(await times(8, (i) => echo(i % 2 === 0 ? acme : globex, few))).toEqual(Array(8).fill(true))
      console.log(`eight connections, both ways at once: ${speed()} each way`)
    },
    WAIT,
  )

  it(
    'serves more connections than its table holds, one after the other',
    async () => {
      const began = performance.now()
      const done = await times(200, (i) => echo(acme, Buffer.from(`number ${i}`)))
      expect(done).toEqual(Array(200).fill(true))
      console.log(`200 connections at once: ${Math.round(performance.now() - began)} ms`)
      const short = performance.now()
      for (let i = 0; i < 300; i++) expect(await page(acme)).toBe('hello\n')
      console.log(`a short connection: ${((performance.now() - short) / 300).toFixed(1)} ms`)
    },
    WAIT,
  )

  it(
    'evicts only idle connections for new ones',
    async () => {
      const busy = await open(acme, 'echo')
      const idle = await times(63, async () => (await open(acme, 'echo')).on('data', () => {}))
      for (const socket of idle) socket.write('here')
      const timer = setInterval(() => busy.write('still here\n'), 200)
      await sleep(2000)
      expect(await page(acme)).toBe('hello\n')
      const one = await open(acme, 'echo')
      one.end('one more')
      expect((await all(one)).toString()).toBe('one more')
      clearInterval(timer)
      busy.end('the end\n')
      expect((await all(busy)).toString()).toMatch(/^(still here\n)+the end\n$/)
      for (const socket of idle) socket.destroy()
    },
    WAIT,
  )

  it(
    'survives peers that reset, and peers that close at once',
    async () => {
      const bytes = given(100_000)
      await times(150, async (i) => {
        const socket = await open(acme, i % 3 === 0 ? 'echo' : i % 3 === 1 ? 'give 1000000' : 'count')
        socket.write(bytes.subarray(0, 1000 * i))
        await sleep(i)
        if (i % 2 === 0) socket.resetAndDestroy()
        else socket.destroy()
      })
      expect(await echo(acme, bytes)).toBe(true)
    },
    WAIT,
  )

  it(
    'keeps unread data of one ledger and of slow peers from delaying others',
    async () => {
      const bytes = given(4 * MiB)
      const deaf = await times(20, () => open(acme, 'deaf'))
      for (const socket of deaf) socket.write(bytes)
      const slow = await times(20, async () => (await open(acme, 'give 4194304')).pause())
      await sleep(1000)
      expect(await echo(acme, bytes)).toBe(true)
      expect(await times(8, () => echo(globex, bytes.subarray(0, MiB)))).toEqual(Array(8).fill(true))
      const late = slow.slice(0, 4).map((socket) => all(socket))
      expect((await Promise.all(late)).every((gave) => gave.equals(bytes))).toBe(true)
      for (const socket of [...deaf, ...slow]) socket.destroy()
    },
    WAIT,
  )

  it(
    'closes a connection after sending all data, while the peer may keep sending for a while',
    async () => {
      const socket = await open(acme, 'late')
      const sending = setInterval(() => socket.write(given(10_000)), 20)
      expect((await all(socket)).toString()).toBe('too late\n')
      clearInterval(sending)
    },
    WAIT,
  )

  it(
    'starts over with a restarted ledger',
    async () => {
      const other = await open(globex, 'echo')
      const lost = await times(10, () => open(acme, 'echo'))
      await sleep(300)
      const ends = lost.map((socket) => all(socket).then(String, () => ''))
      await open(acme, 'fault')
      await appliance.until(/\[supervisor\] ledger_acme is started again\n/, WAIT)
      expect(await Promise.all(ends)).toEqual(Array(10).fill(''))
      await sleep(200)
      expect(await times(64, () => echo(acme, given(50_000)))).toEqual(Array(64).fill(true))
      other.end('I was not meant')
      expect((await all(other)).toString()).toBe('I was not meant')
    },
    WAIT,
  )

  it(
    'keeps serving one tenant when the ledger of another breaks the rules or hangs',
    async () => {
      await open(acme, 'rude')
      await appliance.until(/\[ledger_acme\] was rude\n/, WAIT)
      expect(await times(8, () => echo(globex, given(MiB)))).toEqual(Array(8).fill(true))
      const hanging = await times(30, () => open(acme, 'mute'))
      expect(await times(8, () => echo(globex, given(MiB)))).toEqual(Array(8).fill(true))
      for (const socket of hanging) socket.destroy()
      expect(appliance.console).not.toMatch(/broke the rules|gave back|too many|\[net\] stopped/)
    },
    WAIT,
  )
})

describe.skipIf(!runs)(`the network, ${needs}, in other builds`, () => {
  const others = variants.filter(({ config }) => config === 'debug')
  const names = others.map(({ version, config, compiler }) => `SDK ${version}, ${config}, ${compiler}`)
  it.each(names)(
    'carries bytes, also when one ledger hangs: %s',
    async (name) => {
      const bench = new Bench()
      try {
        const { acme, globex } = await boot(bench, others[names.indexOf(name)])
        const bytes = given(MiB)
        expect(await count(acme, bytes)).toBe(counted(bytes))
        expect((await give(globex, MiB)).equals(bytes)).toBe(true)
        await open(acme, 'stuck')
        expect(await times(8, () => echo(globex, bytes))).toEqual(Array(8).fill(true))
      } finally {
        await bench.end()
      }
    },
    2 * WAIT,
  )
})
