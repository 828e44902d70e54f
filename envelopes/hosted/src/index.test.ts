import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openLevelIndex } from './index.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'index-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

it('sees every put at once, and keeps it', async () => {
  const index = await openLevelIndex(join(dir, 'cache/records'))
  expect([index.size, index.root]).toEqual([0, undefined])
  for (let i = 0; i < 1000; i++) {
    index.put([{ id: `r${i}`, index: i }], i + 1, `root${i + 1}`)
    expect(index.get(`r${i}`)).toBe(i)
    if (i % 100 === 0) await Promise.resolve()
  }
  expect(index.get('nobody')).toBeUndefined()
  await index.flush()
  expect(index.get('r500')).toBe(500)
  await index.close()

  const again = await openLevelIndex(join(dir, 'cache/records'))
  expect([again.size, again.root]).toEqual([1000, 'root1000'])
  for (let i = 0; i < 1000; i++) expect(again.get(`r${i}`)).toBe(i)
  await again.clear()
  expect([again.size, again.root, again.get('r1')]).toEqual([0, undefined, undefined])
  again.put([{ id: '#', index: 7 }], 8, 'root8')
  await again.close()
  const third = await openLevelIndex(join(dir, 'cache/records'))
  expect([third.size, third.root, third.get('#'), third.get('r1')]).toEqual([8, 'root8', 7, undefined])
  await third.close()
})

it('covers entries without a record of their own', async () => {
  const index = await openLevelIndex(dir)
  index.put([], 5, 'root5')
  await index.flush()
  await index.close()
  const again = await openLevelIndex(dir)
  expect(again.size).toBe(5)
  await again.close()
})

it('throws away what it cannot read', async () => {
  const index = await openLevelIndex(dir)
  index.put([{ id: 'a', index: 0 }], 1, 'root')
  await index.close()
  await writeFile(join(dir, 'CURRENT'), 'nonsense')
  const again = await openLevelIndex(dir)
  expect([again.size, again.get('a')]).toEqual([0, undefined])
  await again.close()
})
