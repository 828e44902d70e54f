import { describe, expect, it } from 'vitest'
import { compete, type Contest, type Measurement, type Rules, type Side, Unsupported } from './contest.ts'

const measurement: Measurement = { value: 1, unit: '/s', seconds: 1, count: 1, usage: { rss: 1, cpu: 1 } }

/** Sides that add their name to `ran` when they run. */
function sides(ran: string[], load: string, ...names: string[]): Side[] {
  return names.map((name) => ({
    name,
    async run() {
      ran.push(name)
      return { [load]: measurement }
    },
  }))
}

const ignore = (): void => undefined

function rules(more: Partial<Rules> = {}): Rules {
  return {
    rounds: 2,
    limit: undefined,
    started: ignore,
    finished: ignore,
    failed: ignore,
    skipped: ignore,
    ...more,
  }
}

describe('compete', () => {
  it('runs every load once a round and begins each round with the next side', async () => {
    const ran: string[] = []
    const contests: Contest[] = [
      { loads: ['x'], sides: sides(ran, 'x', 'a', 'b') },
      { loads: ['y'], sides: sides(ran, 'y', 'c', 'd', 'e') },
    ]
    const { series, rounds } = await compete(contests, rules())
    expect(ran.join('')).toBe('abcdebadec')
    expect(rounds).toBe(2)
    expect(series.map((one) => [one.load, one.side, [...one.rounds.keys()]])).toContainEqual([
      'y',
      'd',
      [1, 2],
    ])
  })

  it('continues without a side that failed, and reports it once', async () => {
    const ran: string[] = []
    const failing: Side = { name: 'bad', run: () => Promise.reject(new Error('no disk')) }
    const { failures, series } = await compete(
      [{ loads: ['x'], sides: [failing, ...sides(ran, 'x', 'a')] }],
      rules(),
    )
    expect(failures).toEqual([{ loads: ['x'], message: 'x, bad, round 1 of 2: no disk' }])
    expect(ran).toEqual(['a', 'a'])
    expect(series.map(({ side }) => side)).toEqual(['a'])
  })

  it('does not count an unsupported load as a failure', async () => {
    const side: Side = { name: 'old', run: () => Promise.reject(new Unsupported('no such command')) }
    const skipped: string[] = []
    const { failures } = await compete(
      [{ loads: ['x'], sides: [side] }],
      rules({ skipped: (message) => skipped.push(message) }),
    )
    expect({ failures, skipped }).toEqual({
      failures: [],
      skipped: ['x, old, round 1 of 2: no such command'],
    })
  })

  it('begins no run after the limit', async () => {
    const ran: string[] = []
    const { rounds } = await compete([{ loads: ['x'], sides: sides(ran, 'x', 'a') }], rules({ limit: -1 }))
    expect({ ran, rounds }).toEqual({ ran: [], rounds: 0 })
  })
})
