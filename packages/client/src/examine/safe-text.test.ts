import { describe, expect, it } from 'vitest'
import { asciiJson, csvLine, htmlText, recordPath } from './safe-text.ts'

const SAFE = /^records\/\d{6,}\/\d{9,}(?:-[A-Za-z0-9_][A-Za-z0-9_-]{0,47})?(?:\.[a-z]{2,4}){1,2}$/

describe('the path of a record', () => {
  it('shows its cursor, identifier and type', () => {
    expect(recordPath(17, 'invoice-17', 'application/json')).toBe('records/000000/000000017-invoice-17.json')
    expect(recordPath(1000, 'papers/invoice-7.txt', 'text/plain; charset=utf-8')).toBe(
      'records/000001/000001000-papers-invoice-7.txt',
    )
  })

  it.each([
    ['../../etc/passwd', 'text/plain'],
    ['/absolute', 'text/plain'],
    ['C:\\Windows\\win.ini', 'text/plain'],
    ['..', '../../evil'],
    ['con', 'application/octet-stream'],
    ['-rf', 'text/plain'],
    ['evil.exe', 'application/x-msdownload'],
    ['\u202egnp.exe', 'image/png'],
    ['x'.repeat(256), 'text/plain'],
    ['a'.repeat(47) + '!b', 'text/plain'],
    ['Größe 𝄞', 'text/плоский'],
    ['trailing. ', 'a/b'],
    ['.htaccess', 'text/plain'],
    ['__proto__', '__proto__'],
  ])('the path of a record has only safe characters for %j of %j', (id, type) => {
    expect(recordPath(1, id, type)).toMatch(SAFE)
  })

  it('the path of a record ends in .txt for a type that a browser would run', () => {
    for (const type of ['text/html', 'image/svg+xml', 'text/javascript', 'text/xml', 'TEXT/HTML ; x=y'])
      expect(recordPath(1, 'page', type)).toMatch(/\.txt$/)
    expect(recordPath(1, 'page', 'application/xhtml+xml')).toMatch(/\.bin$/)
  })

  it('the paths of two records differ even if their identifiers differ only in case', () => {
    expect(recordPath(1, 'A', 'text/plain').toLowerCase()).not.toBe(
      recordPath(2, 'a', 'text/plain').toLowerCase(),
    )
  })
})

describe('a line of CSV', () => {
  it('quotes text as RFC 4180 does', () => {
    expect(csvLine(['a,b', 'say "x"', 3])).toBe('"a,b","say ""x""",3\r\n')
  })

  it.each(['=1+1', '+1', '-1', '@SUM(A1)', ' =1', '\uff1d1', '\u00a0=1'])(
    'a spreadsheet does not read %j as a formula',
    (text) => {
      expect(csvLine([text])).toBe(`"'${text}"\r\n`)
    },
  )

  it('escapes characters that end a line or hide others', () => {
    expect(csvLine(['a\r\nb\u202ec'])).toBe('"a\\u000d\\u000ab\\u202ec"\r\n')
  })
})

it('htmlText makes text safe in HTML', () => {
  expect(htmlText(`<script>"&'</script>\u202e`)).toBe('&lt;script&gt;&quot;&amp;&#39;&lt;/script&gt;\\u202e')
})

it('asciiJson keeps values in JSON that is safe in a script', () => {
  const value = { id: '</script><!--\u2028\u2029Größe 𝄞"\\' }
  const text = asciiJson(value)
  expect(text).toMatch(/^[\x20-\x7e]*$/)
  expect(text).not.toContain('<')
  expect(JSON.parse(text)).toEqual(value)
})
