import { StorageError } from '@service-fs/storage/errors'
import { expect, it } from 'vitest'
import { createLog, type Logger } from './log.ts'

function logging(tenant?: string): { log: Logger; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = []
  const log = createLog({
    name: 'tenant',
    level: 'info',
    ...(tenant === undefined ? {} : { tenant }),
    write: (line) => lines.push(JSON.parse(line)),
  })
  return { log, lines }
}

it('the log writes one line of JSON with the time, the level as a word, the process and the tenant', () => {
  const { log, lines } = logging('acme')
  log.info('listening', { url: 'http://127.0.0.1:8080/', skipped: undefined })
  log.warn('slow')
  expect(lines).toEqual([
    {
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      name: 'tenant',
      tenant: 'acme',
      message: 'listening',
      url: 'http://127.0.0.1:8080/',
    },
    expect.objectContaining({ level: 'warn', message: 'slow' }),
  ])
})

it('the log has the code and the cause of an error, and the stack only of an unexpected error', () => {
  const { log, lines } = logging()
  log.error(new StorageError('full', 'tail/0: no space', { cause: new Error('ENOSPC') }), {
    request_id: 'r1',
  })
  log.error(new TypeError('x is not a function'))
  log.error('only text')
  expect(lines[0]).toMatchObject({
    level: 'error',
    request_id: 'r1',
    message: 'tail/0: no space',
    error: { name: 'StorageError', code: 'full', cause: 'ENOSPC' },
  })
  expect(lines[0]).not.toHaveProperty('tenant')
  expect(lines[0]).not.toHaveProperty('error.stack')
  expect(lines[1]).toHaveProperty('error.stack', expect.stringContaining('log.test.ts'))
  expect(lines[2]).toMatchObject({ message: 'only text', error: { name: 'string' } })
})

it('the log leaves out fields that could hold a secret', () => {
  const { log, lines } = logging()
  log.info('asked', { authorization: 'Bearer abc', token: 'abc', payload: '{}', status: 401 })
  expect(JSON.stringify(lines)).not.toContain('abc')
  expect(lines[0]).toMatchObject({ message: 'asked', status: 401 })
  expect(lines[0]).not.toHaveProperty('payload')
})

it('the log writes a line with a newline in the message as one line', () => {
  const raw: string[] = []
  createLog({ name: 'front', level: 'info', write: (line) => raw.push(line) }).info('two\nlines')
  expect(raw).toHaveLength(1)
  expect(raw[0]).not.toContain('\n')
})
