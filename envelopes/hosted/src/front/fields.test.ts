import { expect, it } from 'vitest'
import { answerField, answerLines, framingOf, passedFields, requestHead } from './fields.ts'
import { identityHeaders } from './identity-headers.ts'

const identity = { subject: 'robot', roles: ['read'] as const }

function request(headers: Record<string, string>): Record<string, string> {
  const rawHeaders = Object.entries(headers).flat()
  const lower = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  )
  const fields = [...identityHeaders(identity, 'acme'), ...passedFields({ rawHeaders, headers: lower })]
  const passed: Record<string, string> = {}
  for (let i = 0; i < fields.length; i += 2) passed[fields[i] as string] = fields[i + 1] as string
  return passed
}

const ASKS = {
  'x-service-fs-subject': 'robot',
  'x-service-fs-roles': 'read',
  'x-service-fs-tenant': 'acme',
}

it('the front forwards fields to the tenant unchanged', () => {
  const headers = {
    Host: 'example.org',
    'X-Payload-ID': 'Zo\xc3\xab',
    Accept: 'a/b',
    'X-Foundry-Module-ID': 'acme',
  }
  expect(request(headers)).toEqual({ ...headers, ...ASKS })
})

it('the front drops hop-by-hop fields, credentials and fields with its own prefix', () => {
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

it.each([
  ['GET', { 'Content-Length': '3' }, []],
  ['POST', {}, []],
  ['POST', { 'Content-Length': '003' }, ['content-length: 3']],
  ['POST', { 'Transfer-Encoding': 'Chunked' }, ['transfer-encoding: chunked']],
  ['POST', { 'Content-Length': '3', Connection: 'content-length, host' }, ['content-length: 3']],
  [
    'POST',
    { 'Transfer-Encoding': 'chunked', Connection: 'transfer-encoding' },
    ['transfer-encoding: chunked'],
  ],
])('the front writes one field that delimits the body of %s with %o', (method, fields, expected) => {
  const given: Record<string, string> = { Host: 'a', ...fields }
  const headers = Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name.toLowerCase(), value]),
  )
  const raw = { method, headers, rawHeaders: Object.entries(given).flat() }
  const lines = requestHead(raw, '/', identity, 'acme', framingOf(raw))?.split('\r\n') ?? []
  expect(lines.filter((line) => /^(?:content-length|transfer-encoding):/i.test(line))).toEqual(expected)
  expect(lines.filter((line) => /^host:/i.test(line))).toEqual(['Host: a'])
})

it('the front returns the length of a response, and all of its fields except the hop-by-hop ones', () => {
  const fields = [
    answerField('Content-Type', 'a/b'),
    answerField('connection', 'close, x-hop'),
    answerField('X-Hop', '1'),
    answerField('Connection', 'X-Other'),
    answerField('x-other', '2'),
    answerField('Transfer-Encoding', 'chunked'),
    answerField('Content-Length', '3'),
    answerField('x-audit-index', '7'),
    answerField('x-service-fs-secret', '1'),
  ]
  const date = answerField('Date', 'Sun, 29 Nov 2026 22:00:00 GMT')
  expect(answerLines([...fields, date])).toBe(
    'content-type: a/b\r\nx-audit-index: 7\r\ndate: Sun, 29 Nov 2026 22:00:00 GMT\r\n',
  )
  expect(answerLines(fields)).toMatch(
    /^content-type: a\/b\r\nx-audit-index: 7\r\ndate: [A-Z][^\r\n]+ GMT\r\n$/,
  )
})
