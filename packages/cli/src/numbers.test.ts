import { expect, it } from 'vitest'
import { parseDiskSize } from './numbers.ts'

it('the command line parses disk sizes', () => {
  const sizes = ['65536', '64K', '3M', '2G'].map((text) => parseDiskSize(text, '--disk-size'))
  expect(sizes).toEqual([65536, 65536, 3 * 2 ** 20, 2 ** 31])
  for (const bad of ['', '0', '1K', '63K', '65537', '1.5M', '-1M', '1MB', '1m', '9999999999G', '0x10000'])
    expect(() => parseDiskSize(bad, '--disk-size'), bad).toThrow('--disk-size')
})
