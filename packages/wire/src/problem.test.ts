import { expect, it } from 'vitest'
import { isFailure, Problem, problemOf, problemResponse } from './problem.ts'

const after = (problem: Problem): unknown => problemResponse(problem).headers['retry-after']

it.each([
  [new Problem('unauthenticated', 'none'), 'Bearer realm="service-fs"'],
  [
    new Problem('unauthenticated', 'expired', { error: 'invalid_token' }),
    'Bearer realm="service-fs", error="invalid_token"',
  ],
  [new Problem('forbidden', 'not you'), 'Bearer realm="service-fs", error="insufficient_scope"'],
  [new Problem('module-id-mismatch', 'another'), undefined],
  [new Problem('no-route', 'nowhere'), undefined],
])('%s has the right challenge', (problem, challenge) => {
  expect(problemResponse(problem).headers['www-authenticate']).toBe(challenge)
})

it('a response has the Retry-After of the problem, else that of its code', () => {
  expect(after(new Problem('rate-limited', 'too many', { retry_after: 17 }))).toBe('17')
  expect(after(new Problem('rate-limited', 'too many'))).toBe('1')
  expect(after(new Problem('issuer-unavailable', 'gone'))).toBe('3')
  expect(after(new Problem('forbidden', 'not you'))).toBeUndefined()
})

it('the problem read-only does not show the message of the disk', () => {
  const error = Object.assign(new Error('it is open for reading only: tail/000000000000: EROFS'), {
    name: 'LedgerError',
    code: 'read-only',
  })
  const problem = problemOf(error)
  expect(problemResponse(problem)).toMatchObject({ status: 503 })
  expect([problem.code, problem.message.includes('EROFS'), isFailure(problem)]).toEqual([
    'read-only',
    false,
    false,
  ])
})
