import { expect, it } from 'vitest'
import { FingerprintSet } from './ids.ts'

/** Returns words that differ for each i, and are not in ascending order. */
function words(i: number): [number, number] {
  return [Math.imul(i, 0x9e3779b1) >>> 0, i % 3]
}

it('a set has exactly the fingerprints that were added, at any size', () => {
  for (const [expected, sure] of [
    [undefined],
    [50_001],
    [10],
    [50_001, 50_001],
    [10, 50_001],
    [undefined, 200_000],
  ]) {
    const ids = new FingerprintSet(expected, sure)
    for (let i = 0; i < 50_000; i++) if (!ids.add(...words(i))) expect(i).toBe('new')
    for (let i = 0; i < 50_000; i++) if (ids.add(...words(i))) expect(i).toBe('known')
    expect(ids.add(0xffff_ffff, 0xffff_ffff)).toBe(true)
    expect(ids.add(0xffff_ffff, 0xffff_ffff)).toBe(false)
    expect(ids.size).toBe(50_001)
  }
})

it('a set takes at most 11 bytes for each of a million expected identifiers', () => {
  const ids = new FingerprintSet(1_000_000)
  for (let i = 0; i < 1_000_000; i++) ids.add(...words(i))
  expect(ids.bytes).toBeLessThan(11_000_000)
})

it('a set allocates memory for the lower bound of identifiers at the start', () => {
  const ids = new FingerprintSet(1_000_000, 900_000)
  const { bytes } = ids
  expect(bytes).toBeGreaterThan(9_000_000)
  expect(bytes).toBeLessThan(11_000_000)
  for (let i = 0; i < 900_000; i++) ids.add(...words(i))
  expect(ids.bytes).toBe(bytes)
  expect(new FingerprintSet(10, 1_000_000).bytes).toBeLessThan(200)
})
