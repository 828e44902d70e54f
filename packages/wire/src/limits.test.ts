import { expect, it } from 'vitest'
import { answerSize, DEFAULT_LIMITS } from './limits.ts'
import { ROUTES } from './routes.ts'

const size = (pattern: string): number | undefined => {
  const route = ROUTES.find((one) => one.pattern === pattern)
  if (route === undefined) throw new Error(pattern)
  return answerSize(route, DEFAULT_LIMITS)
}

it('answerSize is defined for the routes with large responses', () => {
  const large = ROUTES.filter((route) => answerSize(route, DEFAULT_LIMITS) !== undefined)
  expect(large.map(({ pattern }) => pattern)).toEqual([
    '/mcp',
    ...['', '/audit'].flatMap((prefix) => [
      `${prefix}/v1/entries`,
      `${prefix}/v1/entries/{cursor}`,
      `${prefix}/v1/records/{payload_id}`,
      `${prefix}/v1/search`,
      `${prefix}/tile/{path...}`,
    ]),
  ])
})

it('answerSize is an upper bound of the response', () => {
  const { maxEntriesBytes, maxPayload } = DEFAULT_LIMITS
  expect(size('/v1/records/{payload_id}')).toBeGreaterThanOrEqual((maxPayload * 4) / 3)
  expect(size('/v1/entries')).toBeGreaterThanOrEqual(maxEntriesBytes + (maxPayload * 4) / 3)
})
