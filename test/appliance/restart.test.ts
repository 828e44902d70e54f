// A faulting domain in a ledger's place is restarted; the other keeps running.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Bench, image, members, needs, runs, variants } from './machine.ts'

const WAIT = 60_000
const faults = [
  /no such access to 0x[0-9a-f]+, pc 0x[0-9a-f]+$/, // a read-only page
  /no such access to 0x[0-9a-f]+, pc 0x[0-9a-f]+$/, // below its stack
  /no instruction at (0x[0-9a-f]+), pc \1$/, // data
  /exception, pc 0x[0-9a-f]+; is started again in 1 s$/, // an undefined instruction, and the fourth fault
]

describe.skipIf(!runs)(`restarting ${needs}`, () => {
  let bench: Bench
  beforeEach(() => {
    bench = new Bench()
  })
  afterEach(() => bench.end())

  const chosen = variants.filter(({ config }, index) => (config === 'release') === index < 2)
  const names = chosen.map(({ version, config, compiler }) => `SDK ${version}, ${config}, ${compiler}`)
  it.each(names)('the domain that faults, and no other: %s', async (name) => {
    const built = image('restart', chosen[names.indexOf(name)])
    const file = bench.disk()
    const appliance = bench.boot({ image: built, disk: { file } })
    await appliance.until(/\[ledger_acme\] the first bundle is there: 1\n/, WAIT)
    const soFar = Number([...appliance.console.matchAll(/commits: (\d+)/g)].at(-1)?.[1] ?? 0)
    await appliance.until(new RegExp(`\\[ledger_globex\\] commits: ${soFar + 30},`), WAIT)
    await appliance.kill()
    const lines = appliance.console.split('\n')
    const reported = lines.filter((line) => line.startsWith('[supervisor] ledger_acme faulted: '))
    expect(reported).toHaveLength(faults.length)
    for (const [index, fault] of faults.entries()) expect(reported[index]).toMatch(fault)
    expect(lines.filter((line) => line === '[supervisor] ledger_acme is started again')).toHaveLength(4)
    expect(lines.filter((line) => line === '[ledger_acme] memory is clean: 1')).toHaveLength(5)
    for (const wrong of ['nothing happened', 'was not', 'too many', 'came back', 'cannot be']) {
      expect(appliance.console).not.toContain(wrong)
    }

    // The bundles of all five lives, and every commit acknowledged to the other.
    const all = members(file)
    const bundles = all.filter((path) => /^acme\/tile\/entries\/00\d\.b64$/.test(path))
    expect(bundles).toEqual([0, 1, 2, 3, 4].map((life) => `acme/tile/entries/00${life}.b64`))
    const commits = Number([...appliance.console.matchAll(/commits: (\d+)/g)].at(-1)?.[1])
    const tails = all.filter((path) => path.startsWith('globex/tail/'))
    expect(tails.length).toBeGreaterThanOrEqual(commits)

    // The time of day, and fresh random bytes.
    const milliseconds = Number(/commits: \d+, longest in ms: \d+, time: (\d+)/.exec(appliance.console)?.[1])
    expect(Math.abs(milliseconds - Date.now())).toBeLessThan(120_000)
    const random = lines
      .filter((line) => line.startsWith('[ledger_globex] random '))
      .join(' ')
      .match(/0x\S+/g)
    expect(random).toHaveLength(8)
    expect(new Set(random).size).toBe(8)
  })
})
