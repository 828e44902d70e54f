import { describe, expect, it } from 'vitest'
import { ReadPace } from './read-pace.ts'

describe('the pace of reads', () => {
  let now = 0
  const reading = (milliseconds: number) => (): string => {
    now += milliseconds
    return 'read'
  }

  it('sends reads to the pool for a second after one that waited for the medium', () => {
    const pace = new ReadPace(() => now)
    expect(pace.timed(reading(0.5))).toBe('read')
    expect(pace.isFast(4096)).toBe(true)
    pace.timed(reading(5))
    expect(pace.isFast(1)).toBe(false)
    now += 999
    expect(pace.isFast(1)).toBe(false)
    now += 1
    expect(pace.isFast(1)).toBe(true)
  })

  it('takes the time of a failed read into account', () => {
    const pace = new ReadPace(() => now)
    expect(() =>
      pace.timed(() => {
        reading(3)()
        throw new Error('EIO')
      }),
    ).toThrow('EIO')
    expect(pace.isFast(1)).toBe(false)
  })

  it('sends large reads to the pool', () => {
    const pace = new ReadPace(() => now)
    expect([pace.isFast(1024 * 1024), pace.isFast(1024 * 1024 + 1)]).toEqual([true, false])
  })
})
