import { describe, expect, it } from 'vitest'
import { limitRow } from './limit.ts'

describe('limitRow', () => {
  it('keeps the median with the lowest and the highest round', () =>
    expect(limitRow('commits', '/s', [30, 10, 20])).toEqual({
      name: 'commits',
      median: 20,
      lowest: 10,
      highest: 30,
      unit: '/s',
    }))
  it('rejects a limit without rounds', () => expect(() => limitRow('commits', '/s', [])).toThrow(RangeError))
})
