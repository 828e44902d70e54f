import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  MAX_SIZE,
  bitLength,
  checkSize,
  divPow2,
  isSize,
  largestPowerOfTwoBelow,
  modPow2,
  parseDecimal,
  popcount,
  pow2,
  trailingZeros,
} from './math.ts'

const near = (n: number): fc.Arbitrary<number> =>
  fc.integer({ min: -70_000, max: 70_000 }).map((d) => Math.min(MAX_SIZE, n + d))
const sizes = fc.oneof(
  fc.nat(1000),
  near(2 ** 31),
  near(2 ** 32),
  near(2 ** 40),
  near(2 ** 53),
  fc.maxSafeNat(),
)
const powers = fc.integer({ min: 0, max: 60 })

describe('size arithmetic agrees with BigInt', () => {
  it('for quotients, remainders and powers', () => {
    fc.assert(
      fc.property(sizes, powers, (n, k) => {
        expect(BigInt(divPow2(n, k))).toBe(BigInt(n) >> BigInt(k))
        expect(BigInt(modPow2(n, k))).toBe(BigInt(n) & ((1n << BigInt(k)) - 1n))
        expect(BigInt(pow2(k))).toBe(1n << BigInt(k))
      }),
    )
  })

  it('for bit counts', () => {
    fc.assert(
      fc.property(sizes, (n) => {
        const binary = n.toString(2)
        expect(popcount(n)).toBe(binary.replaceAll('0', '').length)
        expect(bitLength(n)).toBe(n === 0 ? 0 : binary.length)
        if (n > 0) expect(trailingZeros(n)).toBe(binary.length - 1 - binary.lastIndexOf('1'))
        if (n > 1) expect(largestPowerOfTwoBelow(n)).toBe(2 ** ((n - 1).toString(2).length - 1))
      }),
    )
    for (let k = 0; k <= 52; k++) {
      expect([popcount(2 ** k), trailingZeros(2 ** k), bitLength(2 ** k)]).toEqual([1, k, k + 1])
      expect(largestPowerOfTwoBelow(2 ** k + 1)).toBe(2 ** k)
      if (k > 0) expect(largestPowerOfTwoBelow(2 ** k)).toBe(2 ** (k - 1))
    }
    expect(popcount(MAX_SIZE)).toBe(53)
    expect(() => trailingZeros(0)).toThrow('positive')
  })

  it('for isSize and checkSize', () => {
    for (const n of [0, 1, 2 ** 32, MAX_SIZE]) expect(isSize(n)).toBe(true)
    for (const n of [-1, 0.5, 2 ** 53, NaN, Infinity, -Infinity]) {
      expect(isSize(n)).toBe(false)
      expect(() => checkSize(n, 'a size')).toThrow(expect.objectContaining({ code: 'range' }))
    }
  })
})

describe('parseDecimal', () => {
  it('parses the output of String', () => {
    fc.assert(
      fc.property(sizes, (n) => {
        expect(parseDecimal(String(n))).toBe(n)
      }),
    )
  })

  it.each([
    '',
    '00',
    '01',
    '+1',
    '-0',
    '1.0',
    '1e3',
    ' 1',
    '1 ',
    '1\n',
    '0x10',
    '١',
    '9007199254740992',
    '99999999999999999',
    '1_000',
  ])('rejects %j', (text) => expect(parseDecimal(text)).toBeUndefined())
})
