import { addressKey } from '@service-fs/http/address'
import { expect, it } from 'vitest'
import { Limits } from './limits.ts'

it.each([
  [undefined, 'unix'],
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::1', '0:0:0:0'],
  ['::', '0:0:0:0'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8::5:6', '2001:db8:0:0'],
  ['2001:db8:1:2::', '2001:db8:1:2'],
  ['fe80::1%eth0', 'fe80:0:0:0'],
])('the limits count the address %s as %s', (address, key) => {
  expect(addressKey(address)).toBe(key)
})

it('the failure limit takes little memory for many failing addresses', async () => {
  const limits = new Limits({})
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < 200_000; i++) await limits.failure(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(100 * 2 ** 20)
})
