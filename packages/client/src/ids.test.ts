import { expect, it } from 'vitest'
import { IdSet } from './ids.ts'

it('holds every identifier that was added, and no other, at any size', () => {
  const ids = new IdSet()
  for (let i = 0; i < 50_000; i++) expect(ids.add(`id-${i}`)).toBe(true)
  for (let i = 0; i < 50_000; i += 7) expect(ids.add(`id-${i}`)).toBe(false)
  expect(ids.add('')).toBe(true)
  expect(ids.size).toBe(50_001)
})
