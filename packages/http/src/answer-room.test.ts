import { expect, it } from 'vitest'
import { AnswerRoom } from './answer-room.ts'

it('gives room at once, then in order', async () => {
  const room = new AnswerRoom(100, 1000)
  expect([await room.take(60), await room.take(40)]).toEqual([60, 40])
  const entered: string[] = []
  const big = room.take(80).then(() => entered.push('big'))
  const small = room.take(10).then(() => entered.push('small'))
  room.release(40)
  await Promise.resolve()
  expect(entered).toEqual([])
  room.release(60)
  await Promise.all([big, small])
  expect(entered).toEqual(['big', 'small'])
})

it('gives the whole budget to a request for more', async () => {
  const room = new AnswerRoom(100, 1000)
  expect(await room.take(1000)).toBe(100)
  const other = room.take(1)
  room.release(100)
  expect(await other).toBe(1)
})

it('rejects a request that waits too long, and serves the next one', async () => {
  const room = new AnswerRoom(100, 50)
  await room.take(90)
  const big = room.take(50)
  const small = room.take(10)
  await expect(big).rejects.toMatchObject({ code: 'busy' })
  expect(await small).toBe(10)
})
