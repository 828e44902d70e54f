import { CLOCK_TYPE } from '@service-fs/format/clock-correction'
import { MemoryStorage } from '@service-fs/storage/memory'
import { describe, expect, it } from 'vitest'
import { RecordClock } from './clock.ts'
import { Readiness } from './readiness.ts'
import { openTestLedger, testSigner, TestRuntime, textRecord } from './testing.ts'

const YEAR = 365 * 86_400_000

/** A wall clock that can be set independently of the monotonic clock. */
class SetClock extends TestRuntime {
  ahead = 0

  override now(): number {
    return this.time + this.ahead
  }
}

const correction = (newest: string) => ({
  newest,
  reason: 'the battery was flat',
  subject: 'ops',
  request_id: 'q1',
})

async function locked() {
  const runtime = new SetClock()
  const storage = new MemoryStorage()
  runtime.ahead = YEAR
  const ledger = await openTestLedger({ runtime, storage })
  await ledger.append([textRecord('future', 'x')])
  runtime.ahead = 0
  return { runtime, storage, ledger }
}

describe('a ledger that was written to with a clock a year ahead', () => {
  it('accepts no appends, and reports it', async () => {
    const { ledger } = await locked()
    await expect(ledger.append([textRecord('now', 'x')])).rejects.toMatchObject({ code: 'clock-behind' })
    expect(ledger.status()).toMatchObject({ accepting: true, clock: 'clock-behind' })
    expect(new Readiness(ledger, ledger).now()).toMatchObject({
      ready: false,
      reason: expect.stringContaining('clock-behind'),
    })
  })

  it("accepts appends at once after an operator's correction, and after reopening", async () => {
    const { ledger, runtime, storage } = await locked()
    const { newest = '' } = await ledger.clock()
    expect(newest).toBe('2027-11-22T18:43:00.000Z')
    const { entries } = await ledger.correctClock('clock-1', correction(newest))
    const record = await ledger.record(entries[0]?.index ?? -1)
    expect([record.type, record.time]).toEqual([CLOCK_TYPE, '2026-11-22T18:43:00.000Z'])
    expect(Buffer.from(record.payload).toString()).toBe(
      '{"newest":"2027-11-22T18:43:00.000Z","now":"2026-11-22T18:43:00.000Z","reason":"the battery was flat","request_id":"q1","subject":"ops"}',
    )
    runtime.advance(1000)
    const after = await ledger.append([textRecord('now', 'x')])
    expect(after.entries[0]?.time).toBe('2026-11-22T18:43:01.000Z')
    await ledger.close()
    const again = await openTestLedger({ runtime, storage: new MemoryStorage({ files: storage.dump() }) })
    await again.ready()
    expect((await again.clock()).newest).toBe('2026-11-22T18:43:01.000Z')
    expect((await again.append([textRecord('later', 'x')])).entries[0]?.index).toBe(3)
  })

  it('corrects the clock only when the request names the newest record’s time', async () => {
    const { ledger } = await locked()
    const { newest = '' } = await ledger.clock()
    await expect(ledger.correctClock('c0', correction('2027-11-22T18:43:00.001Z'))).rejects.toMatchObject({
      code: 'bad-record',
      message: expect.stringContaining(`expected ${newest}`),
    })
    const both = await Promise.allSettled([
      ledger.correctClock('c1', correction(newest)),
      ledger.correctClock('c2', correction(newest)),
    ])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    await expect(ledger.correctClock('c3', correction(newest))).rejects.toMatchObject({ code: 'bad-record' })
    expect(ledger.size).toBe(2)
  })

  it('gives no other record a time during a correction, and stays unchanged when that fails', async () => {
    const runtime = new SetClock()
    const signer = testSigner()
    let fails = false
    const ledger = await openTestLedger({
      runtime,
      signer: {
        ...signer,
        vkey: signer.vkey,
        sign: async (text) => {
          await new Promise((resolve) => setImmediate(resolve))
          if (fails) throw new Error('no signature')
          return signer.sign(text)
        },
      },
    })
    runtime.ahead = YEAR
    runtime.time += 1
    await expect(ledger.append([textRecord('a', 'x')])).rejects.toMatchObject({ code: 'clock-ahead' })
    runtime.ahead = 3_600_000
    await ledger.append([textRecord('a', 'x')])
    runtime.ahead = 0
    fails = true
    const { newest = '' } = await ledger.clock()
    const failed = ledger.correctClock('c', correction(newest))
    await Promise.resolve()
    // The clock catches up while the correction is written.
    runtime.ahead = 3_600_000 - 5000
    const meanwhile = ledger.append([textRecord('b', 'x')])
    await expect(meanwhile).rejects.toMatchObject({ code: 'clock-behind' })
    await expect(failed).rejects.toMatchObject({ code: 'signer' })
    runtime.ahead = 0
    await expect(ledger.append([textRecord('b', 'x')])).rejects.toMatchObject({ code: 'clock-behind' })
    fails = false
    await ledger.correctClock('c', correction(newest))
    expect((await ledger.append([textRecord('b', 'x')])).entries[0]?.index).toBe(2)
  })

  it.each([CLOCK_TYPE, `${CLOCK_TYPE}; charset=utf-8`, CLOCK_TYPE.toUpperCase()])(
    'rejects a record with the type of a correction: %s',
    async (type) => {
      const ledger = await openTestLedger()
      await expect(
        ledger.append([textRecord('fine', 'x'), { ...textRecord('posing', '{}'), type }]),
      ).rejects.toMatchObject({
        code: 'bad-record',
        message: expect.stringContaining('reserved for clock corrections'),
      })
      expect(ledger.size).toBe(0)
    },
  )
})

const clockOf = (clockAheadMs: number, withUptime: boolean) => {
  const machine = { wall: 1_800_000_000_000, monotonic: 5000, uptime: 9000 }
  const runtime = {
    now: () => machine.wall,
    monotonic: () => machine.monotonic,
    ...(withUptime ? { uptime: () => machine.uptime } : {}),
  }
  return { machine, clock: new RecordClock(runtime, { clockToleranceMs: 10_000, clockAheadMs }) }
}

describe('a clock that runs ahead', () => {
  const DAY = 86_400_000

  it('is rejected when it is more than a day ahead of the time since the opening', () => {
    const { machine, clock } = clockOf(DAY, false)
    machine.wall += DAY
    expect(clock.stamp()).toBe(new Date(machine.wall).toISOString())
    machine.wall += 1
    expect(() => clock.stamp()).toThrow(/^the clock shows .* more than 86400 s ahead: it showed .* 0 s ago$/)
    machine.monotonic += 1
    expect(clock.stamp()).toBe(new Date(machine.wall).toISOString())
  })

  it('is trusted when the machine has slept', () => {
    const { machine, clock } = clockOf(DAY, true)
    machine.wall += 3 * DAY
    machine.uptime += 3 * DAY
    expect(clock.stamp()).toBe(new Date(machine.wall).toISOString())
  })

  it('is trusted when an operator allows it', () => {
    const { machine, clock } = clockOf(Number.POSITIVE_INFINITY, false)
    machine.wall += YEAR
    expect(clock.stamp()).toBe(new Date(machine.wall).toISOString())
  })

  it('is not ahead of old records: an idle ledger accepts appends', () => {
    const { clock } = clockOf(DAY, false)
    clock.seen('2020-01-01T00:00:00.000Z')
    expect(clock.stamp()).toBe('2027-01-15T08:00:00.000Z')
  })
})
