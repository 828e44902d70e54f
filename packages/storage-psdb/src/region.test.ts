import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RegionAllocator } from './region.ts'

describe('RegionAllocator', () => {
  it('allocates free space within the region, and joins freed space', () => {
    const step = fc.oneof(
      fc.record({ take: fc.nat(5000) }),
      fc.record({ take: fc.constantFrom(0, 1, 63, 64, 65, 8192, 16_384, 16_385) }),
      fc.record({ give: fc.nat() }),
    )
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 16_500 }), fc.array(step, { maxLength: 100 }), (bytes, steps) => {
        const region = new RegionAllocator(bytes)
        const held: { offset: number; length: number }[] = []
        for (const one of steps) {
          if ('take' in one) {
            const offset = region.take(one.take)
            if (offset !== undefined) {
              expect(offset + one.take).toBeLessThanOrEqual(bytes)
              for (const other of held)
                if (one.take > 0 && other.length > 0)
                  expect(offset + one.take <= other.offset || other.offset + other.length <= offset).toBe(
                    true,
                  )
              held.push({ offset, length: one.take })
            } else expect(one.take > region.bytes || held.some(({ length }) => length > 0)).toBe(true)
          } else if (held.length > 0) {
            const [place] = held.splice(one.give % held.length, 1)
            if (place !== undefined) region.give(place.offset, place.length)
          }
        }
        for (const { offset, length } of held) region.give(offset, length)
        expect(region.take(region.bytes)).toBe(0)
      }),
    )
  })

  it('aligns each allocation to a cache line', () => {
    const region = new RegionAllocator(1000)
    expect([region.take(1), region.take(65), region.take(64), region.take(0)]).toEqual([0, 64, 192, 0])
    expect(region.bytes).toBe(960)
    expect(region.take(960 - 256 + 1)).toBe(undefined)
    expect(region.take(960 - 256)).toBe(256)
  })
})
