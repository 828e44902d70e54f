// Packs of records that their authors signed, with signatures that openssl and node:crypto make.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fingerprint, makeAuthor, makeCertificate } from '@service-fs/author/testing'
import { makeLedger } from '@service-fs/client/testing'
import { CMS_TYPE, JWS_TYPE } from '@service-fs/format/author'
import { sha256Hex } from '@service-fs/native/native'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { done } from '../testing-copies.ts'
import { signedPair, type SignedOptions } from '../testing-signed.ts'

const dir = mkdtempSync(join(tmpdir(), 'examine-authors-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const { root, author } = makeAuthor(dir)
const stranger = makeCertificate(dir, 'stranger')
const LEDGER = join(dir, 'ledger')
const PYTHON = join(import.meta.dirname, '../../../../test/outsiders/pack.py')
const noPython = spawnSync('python3', ['-c', 'pass']).status !== 0
const SUBJECT = String.raw`CN=Alice Ångström,O=Example\, Inc.,C=DE`

beforeAll(async () => {
  const time = new Date().toISOString()
  const payload = Buffer.from('{"total":12}')
  const make = (id: string, more: Partial<SignedOptions>) =>
    signedPair(id, { dir, by: author, type: JWS_TYPE, payload, time, ...more })
  await makeLedger(LEDGER, {
    records: [
      { id: 'order/plain', type: 'application/json', time, payload },
      ...(await make('order/jws', {})),
      ...(await make('order/cms', { type: CMS_TYPE, by: stranger })),
      ...(await make('order/large', { payload: Buffer.alloc(150_000, 'large') })),
      ...(await make('order/false', { stored: Buffer.from('{"total":13}') })),
      ...(await make('other', {})),
    ],
  })
})

const json = (...path: string[]): any => JSON.parse(readFileSync(join(dir, ...path), 'utf8'))
const text = (...path: string[]): string => readFileSync(join(dir, ...path), 'utf8')
const pack = (name: string, ...options: string[]) =>
  done('examine', LEDGER, ...options, '-o', join(dir, name), '--json')

it('reports the author of each record, and packs the signatures that the selection leaves out', async () => {
  const io = await pack('pack', '--prefix', 'order/')
  expect(JSON.parse(io.text())).toMatchObject({
    records: 9,
    signatures: 4,
    authors: { signed: 4, verified: 3 },
  })
  const report = json('pack', 'report.json')
  const index = json('pack', 'index.json')
  expect(index.map(({ cursor }: { cursor: number }) => cursor)).toEqual([1, 2, 3, 4, 5, 6, 9, 10, 11])
  const [plain, jws, signature, cms, , large, , wrong] = report.records
  expect([plain.author, signature.author, signature.signature_of]).toEqual([
    undefined,
    undefined,
    'order/jws',
  ])
  expect(jws.author).toEqual({
    verified: true,
    subject: SUBJECT,
    issuer: 'CN=middle-p256',
    certificate: fingerprint(author.certificate),
    chain: author.issuers.map(fingerprint),
    signed_at: '2026-09-21T14:13:20.000Z',
    signature: {
      sha256: sha256Hex(readFileSync(join(dir, 'pack', signature.file))),
      cursor: 3,
      file: signature.file,
      proof: signature.proof,
    },
  })
  expect(signature.file).toMatch(/\.jose$/)
  expect(cms.author).toMatchObject({
    verified: true,
    subject: 'CN=stranger',
    issuer: 'CN=stranger',
    chain: [],
  })
  expect(cms.author.signature.file).toMatch(/\.p7s$/)
  expect(large.author).toMatchObject({ verified: true, signature: { cursor: 9 } })
  expect(wrong.author).toMatchObject({ verified: false, subject: SUBJECT, signature: { cursor: 11 } })
  expect(wrong.author.problem).toMatch(/^expected a valid signature of the author of "order\/false", found /)
  expect(wrong.author.issuer).toBeUndefined()
  expect(report.counts).toMatchObject({ signed: 4, signatures_verified: 3, signatures_added: 4 })
  expect(report.checked.join('\n')).toContain('The signatures of 1 records do NOT verify')
  expect(report.checked.join('\n')).toContain('except 4 that have the signatures')
  expect(report.not_checked.join('\n')).toContain('anybody can make a certificate')
  expect(index[1]).toMatchObject({
    author: SUBJECT,
    author_signature: 'verified',
    signature_file: signature.file,
  })
  expect(index[7]).toMatchObject({ author_signature: 'not verified' })
  if (!noPython) {
    const { status, stderr } = spawnSync('python3', ['-I', PYTHON, join(dir, 'pack')], { encoding: 'utf8' })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  }
})

it('shows the author in the report and in the page', async () => {
  await pack('shown', '--prefix', 'order/')
  const html = text('shown', 'report.html')
  expect(html).toContain('<td>Not signed</td>')
  expect(html).toContain(
    `<bdi>verified: ${SUBJECT}, signed at 2026-09-21T14:13:20.000Z, certificate by CN=middle-p256`,
  )
  expect(html).toContain(`<code>${fingerprint(author.issuers[0]!)}</code>`)
  expect(html).toContain(`NOT VERIFIED: ${SUBJECT}, signed at`)
  expect(html).toContain('verified: 3 of 4; the others are NOT VERIFIED')
  expect(text('shown', 'page/index-1.js')).toContain('"verified: CN=stranger, signed at')
})

it('with trust anchors, verifies only the signatures that lead to one of them', async () => {
  const io = await pack('anchored', '--prefix', 'order/', '--author-anchors', root.certificate)
  expect(JSON.parse(io.text())).toMatchObject({ authors: { signed: 4, verified: 2 } })
  const report = json('anchored', 'report.json')
  expect(report.records[3].author).toMatchObject({
    verified: false,
    problem: expect.stringContaining('found an invalid one: expected a chain to a trust anchor'),
  })
  expect(report.checked.join('\n')).toContain('which leads to a certificate that was given')
  expect(report.not_checked.join('\n')).toContain('Whether a certificate of an author was revoked.')
})

it('packs selected signatures without the records that they sign', async () => {
  const io = await pack('signatures', '--type', JWS_TYPE)
  expect(JSON.parse(io.text())).toMatchObject({
    records: 4,
    signatures: 0,
    authors: { signed: 0, verified: 0 },
  })
  expect(json('signatures', 'report.json').records[0]).toMatchObject({ signature_of: 'order/jws' })
})

it('says on the terminal how many signatures verify', async () => {
  const io = await done('examine', LEDGER, '-o', join(dir, 'said'))
  expect(io.text()).toContain(
    'signatures of authors: 4 verified, 1 NOT VERIFIED: the report has the reasons\n',
  )
})
