import { describe, expect, it } from 'vitest'
import { median, percentile, ratioOf, spreadOf } from './statistics.ts'

const UP_TO_100 = Array.from({ length: 100 }, (_, i) => 100 - i)

describe('median', () => {
  it('is the middle of an odd number of values', () => expect(median([9, 1, 4])).toBe(4))
  it('is the mean of the two middle values of an even number', () => expect(median([8, 1, 2, 4])).toBe(3))
  it('sorts by value, not by text', () => expect(median([10, 9, 100])).toBe(10))
  it('leaves its argument in order', () => {
    const values = [3, 1, 2]
    median(values)
    expect(values).toEqual([3, 1, 2])
  })
  it('needs a value', () => expect(() => median([])).toThrow(RangeError))
})

describe('spreadOf', () => {
  it('returns median, lowest and highest', () =>
    expect(spreadOf([5, 2, 11])).toEqual({ median: 5, min: 2, max: 11 }))
  it('returns a single value three times', () => expect(spreadOf([7])).toEqual({ median: 7, min: 7, max: 7 }))
})

describe('percentile', () => {
  // The worked example of the nearest-rank method in NIST's and Wikipedia's articles on percentiles.
  const example = [15, 20, 35, 40, 50]
  it.each([
    [5, 15],
    [30, 20],
    [40, 20],
    [50, 35],
    [100, 50],
  ])('of %d is %d in the example of the nearest-rank method', (p, expected) =>
    expect(percentile(example, p)).toBe(expected),
  )
  it('of 99 is the 99th of 100 values in any order', () => expect(percentile(UP_TO_100, 99)).toBe(99))
  it('of 50 is the 50th of 100 values', () => expect(percentile(UP_TO_100, 50)).toBe(50))
  it('of a single value is that value', () => expect(percentile([3], 99)).toBe(3))
  it('needs a value', () => expect(() => percentile([], 50)).toThrow(RangeError))
  it.each([0, -1, 101, Number.NaN])('rejects p = %d', (p) =>
    expect(() => percentile([1], p)).toThrow(RangeError),
  )
})

describe('ratioOf', () => {
  it('divides round by round', () => {
    const a = new Map([
      [1, 10],
      [2, 30],
      [3, 8],
    ])
    const b = new Map([
      [1, 5],
      [2, 10],
      [3, 8],
    ])
    expect(ratioOf(a, b)).toEqual({ median: 2, min: 1, max: 3 })
  })
  it('leaves out rounds that only one side finished', () => {
    const a = new Map([
      [1, 10],
      [2, 30],
    ])
    expect(ratioOf(a, new Map([[2, 10]]))).toEqual({ median: 3, min: 3, max: 3 })
  })
  it('is undefined without a common round', () =>
    expect(ratioOf(new Map([[1, 1]]), new Map([[2, 1]]))).toBeUndefined())
})
