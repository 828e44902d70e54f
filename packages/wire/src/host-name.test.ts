import { expect, it } from 'vitest'
import { hostName, isLocalName } from './host-name.ts'

it('hostName removes the port and the brackets', () => {
  expect(hostName('localhost:8080')).toBe('localhost')
  expect(hostName('[::1]:8080')).toBe('::1')
  expect(hostName('[::1]')).toBe('::1')
  expect(hostName('example.org:')).toBe('example.org')
  expect(hostName('')).toBe('')
})

it.each(['localhost', 'LOCALHOST', 'acme.localhost', '127.0.0.1', '127.255.0.9', '::1'])(
  '%s is a local name',
  (name) => {
    expect(isLocalName(name)).toBe(true)
  },
)

it.each([
  '',
  'evil.example',
  'localhost.evil.example',
  'notlocalhost',
  '127.0.0.1.evil.example',
  '127.0.0.256',
  '127.0.0.01',
  '127.1',
  '1270.0.0.1',
  '192.0.2.1',
  '::',
  '::ffff:127.0.0.1',
])('%j is not a local name', (name) => {
  expect(isLocalName(name)).toBe(false)
})
