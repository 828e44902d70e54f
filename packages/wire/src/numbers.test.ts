import { describe, expect, it } from 'vitest'
import { keepsValue, needsCare, numberText } from './numbers.ts'

describe('numberText', () => {
  it('formats every power of two and its neighbors as V8 does', () => {
    const bytes = new DataView(new ArrayBuffer(8))
    for (let biased = 0n; biased < 2047n; biased++) {
      for (const offset of [-1n, 0n, 1n]) {
        bytes.setBigUint64(0, (biased << 52n) + (biased === 0n && offset < 0n ? 0n : offset))
        const value = bytes.getFloat64(0)
        if (!Number.isFinite(value)) continue
        expect(numberText(value)).toBe(JSON.stringify(value))
        expect(numberText(-value)).toBe(JSON.stringify(-value))
      }
    }
  })

  it('detects the numbers that an engine may print with too many digits', () => {
    for (const value of [2 ** -24, -(2 ** 89), 2 ** 1023, 2 ** -1022]) expect(needsCare(value)).toBe(true)
    for (const value of [0, -0, 1, 2 ** 52, 3 * 2 ** -24, 2 ** -1074, 0.1, Infinity, Number.NaN])
      expect(needsCare(value)).toBe(false)
  })
})

it('keepsValue compares decimal values in any notation', () => {
  for (const literal of ['0.1', '1e-1', '0.10', '1.0E-1', '00.1', '.1e0', '10e-2'])
    expect(keepsValue(literal, 0.1), literal).toBe(true)
  for (const literal of ['-0.1', '0.11', '1', '0.01', '0.1000000000000000055511151231257827'])
    expect(keepsValue(literal, 0.1), literal).toBe(false)
  expect(keepsValue('-0', -0)).toBe(true)
  expect(keepsValue('1e999', Infinity)).toBe(false)
})
