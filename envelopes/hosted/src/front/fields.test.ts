import { expect, it } from 'vitest'
import { answerFields, requestFields } from './fields.ts'

const identity = { subject: 'robot', roles: ['read'] as const }

function request(headers: Record<string, string>, hasBody = false): Record<string, string> {
  const rawHeaders = Object.entries(headers).flat()
  const lower = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  )
  const fields = requestFields({ rawHeaders, headers: lower }, identity, 'acme', hasBody)
  const passed: Record<string, string> = {}
  for (let i = 0; i < fields.length; i += 2) passed[fields[i] as string] = fields[i + 1] as string
  return passed
}

const ASKS = {
  'x-service-fs-subject': 'robot',
  'x-service-fs-roles': 'read',
  'x-service-fs-tenant': 'acme',
}

it('forwards fields to the tenant unchanged', () => {
  const headers = {
    Host: 'example.org',
    'X-Payload-ID': 'Zo\xc3\xab',
    Accept: 'a/b',
    'X-Foundry-Module-ID': 'acme',
  }
  expect(request(headers)).toEqual({ ...headers, ...ASKS })
})

it('drops hop-by-hop fields, credentials and fields with its own prefix', () => {
  expect(
    request({
      Connection: 'keep-alive, X-Hop, x-service-fs-subject',
      'X-Hop': '1',
      'Keep-Alive': 'timeout=5',
      TE: 'trailers',
      Upgrade: 'h2c',
      Expect: '100-continue',
      'Transfer-Encoding': 'chunked',
      'Proxy-Authorization': 'Basic x',
      Authorization: 'Bearer secret',
      'X-Service-FS-Subject': 'root',
      'x-service-fs-roles': 'append',
      'x-service-fs-tenant': 'beta',
      'X-SERVICE-FS-anything': '1',
    }),
  ).toEqual(ASKS)
})

it('forwards Content-Length only with a body', () => {
  expect(request({ 'Content-Length': '3' }, true)).toEqual({ 'Content-Length': '3', ...ASKS })
  expect(request({ 'Content-Length': '3' }, false)).toEqual(ASKS)
})

it('returns all response fields but the hop-by-hop ones', () => {
  const raw = [
    'Content-Type',
    'a/b',
    'connection',
    'close, x-hop',
    'X-Hop',
    '1',
    'Transfer-Encoding',
    'chunked',
  ]
  expect(answerFields([...raw, 'x-audit-index', '7', 'x-service-fs-secret', '1'])).toEqual([
    'Content-Type',
    'a/b',
    'x-audit-index',
    '7',
  ])
})
