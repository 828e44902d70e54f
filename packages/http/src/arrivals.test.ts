import { expect, it } from 'vitest'
import { Arrivals } from './arrivals.ts'

const fails = (error: unknown): never => {
  throw error
}

const iteration = (): Promise<void> => new Promise((go) => void setImmediate(go))

it('a call is not deferred when no connection arrives', () => {
  const arrivals = new Arrivals(fails, () => 0)
  const ran: number[] = []
  arrivals.whenIn(() => ran.push(1))
  expect(ran).toEqual([1])
})

it('deferred calls run in order, after an iteration that accepts no connection', async () => {
  const arrivals = new Arrivals(fails, () => 0)
  const ran: number[] = []
  for (let i = 0; i < 10; i++) {
    arrivals.accepted()
    arrivals.whenIn(() => ran.push(i))
    await iteration()
    expect(ran).toEqual([])
  }
  await iteration()
  expect(ran).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  arrivals.whenIn(() => ran.push(10))
  expect(ran.at(-1)).toBe(10)
})

it('a deferred call runs after 20 ms although connections keep arriving', async () => {
  let now = 1000
  const arrivals = new Arrivals(fails, () => now)
  let ran = 0
  arrivals.accepted()
  arrivals.whenIn(() => (ran += 1))
  for (; now < 1020; now++) {
    arrivals.accepted()
    await iteration()
    expect(ran).toBe(0)
  }
  arrivals.accepted()
  await iteration()
  expect(ran).toBe(1)
})

it('the other deferred calls run when one throws, and the exception is reported', async () => {
  const reports: unknown[] = []
  const arrivals = new Arrivals(
    (error) => reports.push(error),
    () => 0,
  )
  const ran: number[] = []
  const error = new Error('the first call')
  arrivals.accepted()
  arrivals.whenIn(() => fails(error))
  arrivals.whenIn(() => ran.push(1))
  await iteration()
  await iteration()
  expect([ran, reports]).toEqual([[1], [error]])
})
