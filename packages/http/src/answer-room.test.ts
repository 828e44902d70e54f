import { expect, it } from 'vitest'
import { AnswerRoom } from './answer-room.ts'

it('the memory for responses is given at once while there is room, and then in order', async () => {
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

it('the memory for responses goes wholly to a request for more', async () => {
  const room = new AnswerRoom(100, 1000)
  expect(await room.take(1000)).toBe(100)
  const other = room.take(1)
  room.release(100)
  expect(await other).toBe(1)
})

it('the memory for responses is refused to a request that waits too long, and then given to the next one', async () => {
  const room = new AnswerRoom(100, 50)
  await room.take(90)
  const big = room.take(50)
  const small = room.take(10)
  await expect(big).rejects.toMatchObject({ code: 'busy' })
  expect(await small).toBe(10)
})
