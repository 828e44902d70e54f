import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { DUTY_FIELD, DUTY_ID_PREFIX, DUTY_TYPE, LAST_TIME, RETAIN_FIELD } from './duty.ts'
import { SHELL_MARK } from './readme-shell.ts'
import { readmeText } from './readme.ts'
import { VERIFY_SH, VERIFY_SH_SHA256 } from './verify-shell.ts'

it('README.txt contains the origin and the marked shell script', () => {
  const text = readmeText('example.org/ledger/acme')
  expect(text).toContain('(origin): example.org/ledger/acme\n')
  expect(text.split(SHELL_MARK)).toHaveLength(3)
  expect(text).not.toContain('\\${')
})

it('README.txt explains partial tiles of an export', () => {
  const text = readmeText('example.org/ledger/acme')
  expect(text).toContain(
    'tile/…/000.p/17.b64     the same, not yet full: 17 lines (in exports only, which have no tail/)\n',
  )
})

it('README.txt explains each kind of duty entry', () => {
  const text = readmeText('example.org/ledger/acme')
  for (const known of [DUTY_TYPE, DUTY_ID_PREFIX, LAST_TIME, `"${DUTY_FIELD}"`, `"${RETAIN_FIELD}"`])
    expect(text).toContain(known)
  for (const kind of ['policy', 'hold', 'lift', 'extend'])
    expect(text).toMatch(new RegExp(`^  ${kind} +\\w`, 'm'))
})

it('README.txt names the hash of verify.sh', () => {
  expect(createHash('sha256').update(VERIFY_SH, 'utf8').digest('hex')).toBe(VERIFY_SH_SHA256)
  expect(readmeText('example.org/ledger/acme')).toContain(`SHA-256 of verify.sh is ${VERIFY_SH_SHA256}.`)
  expect(VERIFY_SH).not.toMatch(/\\\$\{|@SHELL@/)
})
