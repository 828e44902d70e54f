import { expect, it } from 'vitest'
import { Backoff, delayAfter } from './backoff.ts'

it('the backoff doubles the delay after each failure, up to a minute', () => {
  const delays = Array.from({ length: 12 }, (_, failures) => delayAfter(failures))
  expect(delays).toEqual([0, 0, 250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000])
})

it('the backoff starts over after a stable run and after a requested stop', () => {
  const backoff = new Backoff()
  for (let i = 0; i < 5; i++) backoff.failed(1000, 0)
  expect([backoff.wait(1000), backoff.wait(2500), backoff.wait(9000)]).toEqual([2000, 500, 0])
  backoff.failed(20_000, 6000)
  expect(backoff.wait(20_000)).toBe(0)
  backoff.failed(20_100, 100)
  expect(backoff.wait(20_100)).toBe(250)
  backoff.stopped()
  expect(backoff.wait(20_100)).toBe(0)
})
