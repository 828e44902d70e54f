import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { Filter } from './filter.ts'
import { KEY_BYTES, PAGE_BYTES, PageDamage } from './page.ts'

const key = (text: string): Buffer => createHash('sha256').update(text).digest().subarray(0, KEY_BYTES)

it.each([1, 2_046, 2_047, 50_000])('a filter has each of %i keys, and few others', (records) => {
  const filter = new Filter(records)
  for (let i = 0; i < records; i++) filter.add(key(`in ${i}`), 0)
  let denied = 0
  for (let i = 0; i < records; i++) if (!filter.has(key(`in ${i}`))) denied += 1
  expect(denied).toBe(0)
  let passed = 0
  for (let i = 0; i < 50_000; i++) if (filter.has(key(`out ${i}`))) passed += 1
  // Expected: (1 - e^(-8/16))^8 of 50,000, which is 29.
  expect(passed).toBeLessThan(60)
})

it('a filter has no key when a run has no records', () => {
  expect(new Filter(0).has(key('a'))).toBe(false)
  expect(new Filter(0).bytes).toHaveLength(0)
})

it('a filter takes at most 2.01 bytes a record', () => {
  expect(new Filter(10_000_000).bytes.length).toBeLessThan(20_100_000)
})

it('a filter accepts only the pages of its own file and place', () => {
  const filter = new Filter(5_000)
  for (let i = 0; i < 5_000; i++) filter.add(key(`in ${i}`), 0)
  filter.close('one', 30)
  const stored = (): Buffer => Buffer.from(filter.bytes)
  expect(() => new Filter(5_000, stored()).check('one', 30)).not.toThrow()
  expect(() => new Filter(5_000, stored()).check('other', 30)).toThrow(PageDamage)
  expect(() => new Filter(5_000, stored()).check('one', 31)).toThrow(PageDamage)
  const damaged = stored()
  damaged[2 * PAGE_BYTES + 7] = (damaged[2 * PAGE_BYTES + 7] as number) ^ 1
  expect(() => new Filter(5_000, damaged).check('one', 30)).toThrow('page 32: the checksum does not match')
})
