import { expect, it } from 'vitest'
import { Bursts, OTHERS } from './bursts.ts'

function told(least: number, quietMs: number) {
  const lines: string[] = []
  const bursts = new Bursts({
    least,
    windowMs: 10_000,
    quietMs,
    began: (key) => void lines.push(`${key} began`),
    ended: (key, count) => void lines.push(`${key} ended ${count}`),
  })
  return { bursts, lines }
}

it('the burst counter reports the start of a burst and, at its end, the count; reports nothing for fewer events', async () => {
  const { bursts, lines } = told(3, 100)
  for (let i = 0; i < 50; i++) bursts.add('a')
  for (let i = 0; i < 2; i++) bursts.add('b')
  expect(lines).toEqual(['a began'])
  await expect.poll(() => lines).toEqual(['a began', 'a ended 50'])
})

it('the burst counter counts a limited number of keys separately', () => {
  const { bursts, lines } = told(1, 60_000)
  for (let i = 0; i < 5000; i++) bursts.add(`key ${i}`)
  expect(lines).toHaveLength(1025)
  expect(lines.at(-1)).toBe(`${OTHERS} began`)
  bursts.close()
  expect(lines.at(-1)).toBe(`${OTHERS} ended ${5000 - 1024}`)
})
