import { parseListen } from '@service-fs/http/address'
import { expect, it } from 'vitest'
import { OPEN, checkListen, checkReload } from './listen-rule.ts'
import type { AccessSettings } from './settings.ts'

const TOKENS: AccessSettings = { ...OPEN, tokens: [] }
const TLS: AccessSettings = { ...TOKENS, tls: { certificate: 'c', key: 'k' } }
const OTHERS = [
  '0.0.0.0:80',
  '[::]:80',
  '192.168.1.4:80',
  '[2001:db8::1]:80',
  '[::ffff:10.0.0.1]:80',
  'example.org:80',
  '*:80',
]

it.each(['127.0.0.2:80', 'localhost:80', '[::1]:80', 'unix:/run/acme.sock'])(
  'the listen rule allows a local address: %s',
  (text) => {
    for (const settings of [OPEN, TOKENS, TLS])
      expect(() => checkListen(parseListen(text), settings)).not.toThrow()
  },
)

it.each(OTHERS)('the listen rule requires credentials and TLS for another address: %s', (text) => {
  const listen = parseListen(text)
  expect(() => checkListen(listen, OPEN)).toThrow(`--listen ${text}: no credentials`)
  expect(() => checkListen(listen, { ...OPEN, behindTls: true })).toThrow('no credentials')
  expect(() => checkListen(listen, { ...OPEN, tls: { certificate: 'c', key: 'k' } })).toThrow(
    'no credentials',
  )
  expect(() => checkListen(listen, TOKENS)).toThrow('in the clear')
  expect(() => checkListen(listen, { ...TOKENS, behindTls: true })).not.toThrow()
  expect(() => checkListen(listen, TLS)).not.toThrow()
})

it('a reload refuses changes that need a restart', () => {
  const ca: AccessSettings = { ...TLS, tls: { certificate: 'c', key: 'k', clientCa: 'ca' } }
  const behind: AccessSettings = { ...TOKENS, behindTls: true }
  for (const [before, after, field] of [
    [TOKENS, OPEN, 'access'],
    [OPEN, TOKENS, 'access'],
    [TLS, TOKENS, 'tls'],
    [TOKENS, TLS, 'tls'],
    [TLS, ca, 'tls.clientCa'],
    [behind, TOKENS, 'behindTls'],
  ] as const)
    expect(() => checkReload(before, after)).toThrow(field)
  for (const same of [OPEN, TOKENS, TLS, ca, behind]) expect(() => checkReload(same, same)).not.toThrow()
  expect(() => checkReload(ca, { ...ca, tls: { certificate: 'd', key: 'e', clientCa: 'f' } })).not.toThrow()
})
