// A domain in a ledger's place that never rests does not deprive the other of CPU time, the clock or the console.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Bench, image, needs, runs } from './machine.ts'

const WAIT = 60_000

describe.skipIf(!runs)(`a rude tenant ${needs}`, () => {
  let bench: Bench
  beforeEach(() => {
    bench = new Bench()
  })
  afterEach(() => bench.end())

  it('does not deprive the other of CPU time, the clock and console lines', async () => {
    const appliance = bench.boot({ image: image('rude'), disk: { file: bench.disk() } })
    await appliance.until(/\[ledger_acme\] begins\n/, WAIT)
    const began = Date.now()
    await appliance.until(/\[ledger_globex\] commits: 100,/, WAIT)
    const seconds = (Date.now() - began) / 1000
    await appliance.kill()
    // If the other missed its deadlines, a commit would take a second or more.
    expect(seconds).toBeLessThan(30)
    // Its console output is bounded (16 KiB, then 8 KiB/s), escaped, and under its own name.
    const lines = appliance.console.split('\n')
    const forged = lines.filter((line) => line.endsWith('[psdb] ready ?[2J ? forged'))
    expect(forged.length * 28).toBeLessThan(16_384 + 8192 * (seconds + 5))
    expect(forged.every((line) => line.startsWith('[ledger_acme] '))).toBe(true)
    expect(lines.filter((line) => line.startsWith('[psdb] ready'))).toHaveLength(1)
    expect(appliance.console).not.toContain('was not answered OK')
  })
})
