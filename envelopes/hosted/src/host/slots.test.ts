import { expect, it } from 'vitest'
import { Slots } from './slots.ts'

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

it('the pool of slots runs a limited number of tasks at once, in order', async () => {
  const slots = new Slots(2)
  const begun: number[] = []
  const ends: (() => void)[] = []
  const all = [0, 1, 2, 3].map((i) =>
    slots.with(() => {
      begun.push(i)
      return new Promise<number>((resolve) => ends.push(() => resolve(i)))
    }),
  )
  await turn()
  expect(begun).toEqual([0, 1])
  ends[1]?.()
  await turn()
  expect(begun).toEqual([0, 1, 2])
  ends[0]?.()
  ends[2]?.()
  await turn()
  ends[3]?.()
  expect(await Promise.all(all)).toEqual([0, 1, 2, 3])
})

it('the pool of slots frees the slot of a task that takes too long or fails', async () => {
  const slots = new Slots(1)
  const stuck = slots.with(() => new Promise<never>(() => undefined), 30)
  stuck.catch(() => undefined)
  await expect(slots.with(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await slots.with(() => Promise.resolve('yes'))).toBe('yes')
})
