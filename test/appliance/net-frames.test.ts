// Tests the network domain on a wire. The test makes all frames, including malformed ones.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Appliance } from '../../qemu/run.mjs'
import { Bench, image, needs, runs, variants } from './machine.ts'
import { freePort } from '../support/process.ts'
import { ACK, type Connection, FIN, ip, packet, RST, SYN, tcp, Wire } from './wire.ts'

const WAIT = 60_000
const HOST = ip('10.0.2.2')
const APPLIANCE = ip('10.0.2.15')
const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** The number of connections that break rules. */
const ROUNDS = 40

/** The same pseudo-random numbers in each run. */
function* numbers(seed: number): Generator<number, never> {
  for (let state = seed; ;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    yield state >>> 8
  }
}

describe.skipIf(!runs)(`frames ${needs}`, () => {
  const bench = new Bench()
  let appliance: Appliance
  let wire: Wire
  let nextPort = 20_000
  const random = numbers(7)
  const below = (limit: number) => random.next().value % limit
  const connect = (port: number) => wire.connection(HOST, nextPort++, port)

  beforeAll(async () => {
    const built = image(
      'net-frames',
      variants.find(({ config }) => config === 'release'),
    )
    const [here, there] = [await freePort(), await freePort()]
    wire = await Wire.open(there, here, APPLIANCE)
    appliance = bench.boot({ image: built, disk: { file: bench.disk() }, wire: { here, there } })
    await appliance.until(/\[net\] acme has port 80\n/, WAIT)
    await appliance.until(/\[net\] globex has port 8080\n/, WAIT)
    await wire.find(HOST)
  }, 2 * WAIT)
  afterAll(async () => {
    await bench.end()
    if (runs) wire.close()
  })

  async function answers(port: number): Promise<boolean> {
    const connection = connect(port)
    if (!(await connection.open())) return false
    connection.data('GET /\n')
    const has = await connection.until(() => connection.received.includes('hello\n'))
    connection.reset()
    return has
  }

  it(
    'answers at the address that the list of tenants names',
    async () => {
      expect(appliance.console).toMatch(
        /\[net\] address 10\.0\.2\.15, netmask 255\.255\.255\.0, gateway 10\.0\.2\.2\n/,
      )
      wire.ping(HOST)
      expect(await answers(80)).toBe(true)
      expect(wire.pongs).toBe(1)
    },
    WAIT,
  )

  it(
    'starts each connection at an unpredictable sequence number',
    async () => {
      const firsts: number[] = []
      for (let i = 0; i < 20; i++) {
        const connection = connect(80)
        expect(await connection.open()).toBe(true)
        firsts.push(connection.first)
        connection.reset()
      }
      const steps = firsts.slice(1).map((first, index) => (first - (firsts[index] ?? 0)) >>> 0)
      expect(Math.max(...steps)).toBeGreaterThan(0x8000_0000)
      expect(Math.min(...steps)).toBeLessThan(0x8000_0000)
      expect(steps.filter((step) => step < 0x100_0000).length).toBeLessThan(3)
    },
    WAIT,
  )

  it(
    'answers for one tenant while half-open connections flood the other',
    async () => {
      const until = performance.now() + 3000
      const flood = async () => {
        for (let i = 0; performance.now() < until; i++) {
          const from = ip('172.16.0.0') + below(65536)
          const ends = { from, to: APPLIANCE, fromPort: 1024 + below(60_000), toPort: 80 }
          wire.send({ ...ends, sequence: below(1 << 20), acknowledged: 0, flags: SYN, data: Buffer.alloc(0) })
          if (i % 20 === 0) await sleep(1)
        }
      }
      const flooding = flood()
      await sleep(500)
      const began = performance.now()
      for (let i = 0; i < 20; i++) expect(await answers(8080)).toBe(true)
      expect(performance.now()).toBeLessThan(until)
      console.log(
        `a page while the other port is flooded: ${((performance.now() - began) / 20).toFixed(0)} ms`,
      )
      await flooding
      expect(await answers(80)).toBe(true)
    },
    WAIT,
  )

  it(
    'evicts connections of vanished peers for new ones',
    async () => {
      const gone: Connection[] = []
      for (let i = 0; i < 80; i++) {
        const connection = connect(80)
        expect(await connection.open()).toBe(true)
        gone.push(connection)
      }
      expect(await answers(8080)).toBe(true)
      expect(gone.filter(({ isReset }) => isReset).length).toBeGreaterThanOrEqual(80 - 64)
      for (const connection of gone) connection.reset()
      expect(await answers(80)).toBe(true)
    },
    WAIT,
  )

  it(
    'does not send data in tiny segments',
    async () => {
      const connection = connect(80)
      await connection.open(5000, [2, 4, 0, 1])
      expect(await connection.until(() => connection.isReset)).toBe(true)
    },
    WAIT,
  )

  it(
    'waits for a peer with a closed window, without delaying others',
    async () => {
      const connection = connect(80)
      expect(await connection.open()).toBe(true)
      connection.window = 0
      connection.data('give 100000\n')
      await sleep(500)
      expect(connection.received.length).toBeLessThan(10_000)
      expect(await answers(80)).toBe(true)
      connection.reset()
    },
    WAIT,
  )

  it(
    'survives peers that violate TCP',
    async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const connection = connect(80)
        if (!(await connection.open())) continue
        connection.data(below(2) === 0 ? 'echo\n' : 'give 300000\n')
        for (let i = 0; i < 150; i++) {
          const far = below(4) === 0 ? below(1 << 24) * 256 : below(70_000)
          const flags = below(3) === 0 ? below(64) : ACK
          connection.send(below(40) === 0 ? flags : flags & ~RST, {
            sequence: connection.sequence + far - below(3000),
            acknowledged: connection.expected + below(40_000) - below(20_000),
            window: below(65_536),
            options: below(4) === 0 ? Array.from({ length: 4 * below(11) }, () => below(256)) : [],
            data: Buffer.alloc(below(1400), i),
          })
        }
        await sleep(2)
        if (round % 3 === 0) connection.reset()
      }
      expect(await answers(8080)).toBe(true)
      await sleep(1500)
      expect(await answers(80)).toBe(true)
      expect(appliance.console).not.toMatch(/stopped|broke the rules/)
    },
    WAIT,
  )

  it(
    'survives malformed frames',
    async () => {
      const ends = { from: HOST, to: APPLIANCE, fromPort: 99, toPort: 80, sequence: 1, acknowledged: 1 }
      const samples = [
        wire.frame(0x0806, Buffer.alloc(46, 1)),
        wire.frame(
          0x0800,
          tcp({ ...ends, flags: SYN, options: [2, 4, 5, 180, 1, 1, 4, 2], data: Buffer.alloc(9) }),
        ),
        wire.frame(0x0800, tcp({ ...ends, flags: ACK | FIN, data: Buffer.alloc(900, 2) })),
        wire.frame(0x0800, tcp({ ...ends, flags: RST, data: Buffer.alloc(0) })),
        wire.frame(0x0800, packet(HOST, APPLIANCE, 1, Buffer.alloc(64, 8))),
        wire.frame(0x0800, packet(HOST, APPLIANCE, 17, Buffer.alloc(300, 67))),
      ]
      const open = connect(80)
      expect(await open.open()).toBe(true)
      for (let i = 0; i < 20_000; i++) {
        const sample = samples[below(samples.length)] ?? Buffer.alloc(14)
        const frame = Buffer.from(sample.subarray(0, 1 + below(sample.length)))
        const whole = below(2) === 0 ? Buffer.from(sample) : frame
        for (let j = below(6); j > 0; j--) whole[12 + below(whole.length)] = below(256)
        wire.raw(whole)
        if (i % 50 === 0) await sleep(1)
      }
      wire.raw(Buffer.alloc(1600, 3))
      for (let length = 0; length < 60; length++) {
        const options = Array.from({ length: 4 * below(11) }, () => below(256))
        connect(80).send(SYN, { options })
        wire.raw(wire.frame(0x0800, Buffer.alloc(length, 0x45)))
      }
      expect(await answers(80)).toBe(true)
      expect(await answers(8080)).toBe(true)
      expect(appliance.console).not.toMatch(/stopped|broke the rules/)
    },
    WAIT,
  )
})
