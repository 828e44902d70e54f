import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { inTurn, type Sized } from './in-turn.ts'

async function* tasksOf<T>(tasks: Sized<T>[]): AsyncGenerator<Sized<T>> {
  yield* tasks
}

async function resultsOf<T>(tasks: Sized<T>[], files: number, bytes: number): Promise<T[]> {
  const results: T[] = []
  for await (const result of inTurn(tasksOf(tasks), { files, bytes })) results.push(result)
  return results
}

it('inTurn yields the results in the order of the tasks, even if a later task ends first', async () => {
  const tasks = Array.from({ length: 30 }, (_, i) => ({ size: 1, run: () => sleep((i * 7) % 11, i) }))
  expect(await resultsOf(tasks, 8, 100)).toEqual(Array.from({ length: 30 }, (_, i) => i))
})

it('inTurn keeps within the maximum number of tasks and of bytes at a time', async () => {
  let running = 0
  let bytes = 0
  let most = 0
  const tasks = Array.from({ length: 40 }, (_, i) => {
    const size = i === 20 ? 1_000 : 10
    return {
      size,
      async run() {
        running += 1
        bytes += size
        most = Math.max(most, running)
        if (running > 1) expect(bytes).toBeLessThanOrEqual(50)
        await sleep(1)
        running -= 1
        bytes -= size
      },
    }
  })
  await resultsOf(tasks, 4, 50)
  expect(most).toBe(4)
  await resultsOf(tasks, 100, 50)
  expect(most).toBe(5)
})

it('inTurn throws the error of a task in place of its result', async () => {
  const seen: number[] = []
  const tasks = [
    { size: 1, run: () => sleep(5, 1) },
    { size: 1, run: () => Promise.reject(new Error('second')) },
    { size: 1, run: async () => 3 },
  ]
  const all = async (): Promise<void> => {
    for await (const result of inTurn(tasksOf(tasks), { files: 3, bytes: 9 })) seen.push(result)
  }
  await expect(all()).rejects.toThrow('second')
  expect(seen).toEqual([1])
})
