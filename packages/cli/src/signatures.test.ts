// Tests `verify`, and how `get` judges signatures, on ledgers with signatures that openssl and node:crypto make.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeAuthor, makeCertificate, type Identity } from '@service-fs/author/testing'
import { CMS_TYPE, JWS_TYPE, type SignatureType } from '@service-fs/format/author'
import type { RecordContent } from '@service-fs/format/entry'
import { makeLedger, testSigner } from '@service-fs/client/testing'
import { verifySignature } from '@service-fs/author/verify'
import { Anchors } from '@service-fs/author/chain'
import type { TreeRecord } from '@service-fs/client/tree-records'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { judgedRecords } from './signed-records.ts'
import { signedPair } from './testing-signed.ts'
import { cli } from './testing.ts'

const dir = mkdtempSync(join(tmpdir(), 'signatures-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const PAYLOAD = Buffer.from('{"total":12}')
const LARGE = Buffer.alloc(70_000, 'large')
const { root, author } = makeAuthor(dir)
const stranger = makeCertificate(dir, 'stranger')
let now = ''
beforeAll(() => {
  now = new Date().toISOString()
})

interface Change {
  by?: Identity
  payload?: Uint8Array
  time?: string
  subject?: string
  signature?: (bytes: Uint8Array) => Uint8Array
}

/** Returns a signed record and its companion with a change that the ledger's own hashes do not reveal. */
async function pair(
  id: string,
  payload: Uint8Array,
  type: SignatureType,
  change: Change = {},
): Promise<RecordContent[]> {
  const { by = author, time = now, payload: stored, subject, signature: changed } = change
  return signedPair(id, {
    dir,
    by,
    type,
    payload,
    time,
    ...(stored && { stored }),
    ...(subject !== undefined && { subject }),
    ...(changed && { changed }),
  })
}

async function report(name: string, records: readonly RecordContent[], ...more: string[]): Promise<any> {
  const at = join(dir, name)
  await makeLedger(at, { records: [...records] })
  const io = await cli('verify', at, '--no-audit', '--json', '--vkey', testSigner().vkey, ...more)
  return JSON.parse(io.text())
}

it('verify accepts the signatures of authors, and says that it verified them', async () => {
  const records = [
    ...(await pair('jws', PAYLOAD, JWS_TYPE)),
    ...(await pair('cms', PAYLOAD, CMS_TYPE)),
    ...(await pair('large', LARGE, CMS_TYPE)),
  ]
  const { ok, problems, notes } = await report('good', records)
  expect({ ok, problems }).toEqual({ ok: true, problems: [] })
  expect(notes.join('\n')).toContain('3 records are signed by their authors; each signature was verified')
})

/** Changes one character of a JWS's signature, or the last byte of a CMS. */
function tampered(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes)
  const dots = Buffer.from(copy).indexOf('..')
  if (dots < 0) copy[copy.length - 1] = (copy.at(-1) as number) ^ 1
  else copy[dots + 2] = copy[dots + 2] === 0x41 ? 0x42 : 0x41
  return copy
}

const changes: [string, SignatureType, Change, string][] = [
  ['another payload', JWS_TYPE, { payload: Buffer.from('{"total":13}') }, 'a valid signature'],
  ['another payload', CMS_TYPE, { payload: Buffer.from('{"total":13}') }, 'the digest of the record'],
  ['a tampered signature', JWS_TYPE, { signature: tampered }, 'a valid signature'],
  ['a tampered signature', CMS_TYPE, { signature: tampered }, 'a valid signature'],
  ['another name of the author', CMS_TYPE, { subject: 'CN=Mallory' }, 'CN=Mallory'],
  [
    'a time before the certificate',
    JWS_TYPE,
    { time: '2020-01-01T00:00:00.000Z' },
    'certificates of the author',
  ],
]
it.each(changes)('verify reports %s of a record with %s', async (name, type, change, expected) => {
  const found = await report(`${name}-${type.length}`, await pair('a', PAYLOAD, type, change))
  expect(found).toMatchObject({ ok: false, problemCount: 1 })
  expect(JSON.stringify(found.problems)).toContain(expected)
})

/** Writes the anchors of a test, and returns their file. */
function anchorsIn(name: string, ...certificates: string[]): string {
  const file = join(dir, name)
  writeFileSync(file, certificates.map((one) => readFileSync(one, 'utf8')).join(''))
  return file
}

it('verify demands that signatures lead to the anchors that it is given, and names each record whose signature does not', async () => {
  const records = [
    ...(await pair('anchored', PAYLOAD, JWS_TYPE)),
    ...(await pair('invoice/7', PAYLOAD, CMS_TYPE, { by: stranger })),
    { id: 'unsigned', type: 'text/plain', time: now, payload: PAYLOAD },
  ]
  const both = anchorsIn('both.pem', stranger.certificate, root.certificate)
  const good = await report('anchors-good', records, '--author-anchors', both)
  expect(good).toMatchObject({ ok: true, problems: [] })
  expect(good.notes.join('\n')).toContain(
    '2 records are signed by their authors; each signature was verified',
  )
  expect(good.notes.join('\n')).toContain('by the given trust anchors')

  const one = anchorsIn('one.pem', root.certificate)
  const bad = await report('anchors-bad', records, '--author-anchors', one)
  expect(bad).toMatchObject({ ok: false, problemCount: 1 })
  expect(bad.problems[0]).toMatchObject({
    index: 2,
    expected: 'a valid signature of the author of "invoice/7"',
    found: 'an invalid one: expected a chain to a trust anchor, found one that is not anchored',
  })
})

it.each([
  ['missing.pem', undefined, 'ENOENT'],
  ['empty.pem', '', 'expected certificates in PEM, found none'],
  ['large.pem', 'x'.repeat(1_048_577), 'expected at most 1048576 bytes, found 1048577'],
])('verify refuses the anchors in %s', async (name, text, expected) => {
  const file = join(dir, name)
  if (text !== undefined) writeFileSync(file, text)
  const io = await cli('verify', dir, '--author-anchors', file)
  expect(io.code).toBe(3)
  expect(io.errors.join('\n')).toContain(expected)
  expect(io.errors.join('\n')).toContain(name)
})

async function* treeOf(records: readonly RecordContent[]): AsyncGenerator<TreeRecord> {
  for (const [index, one] of records.entries()) {
    const { fields = [], id, type, time, payload } = one
    const place = { index, parts: 1, entry: new Uint8Array(), headerLength: 0 }
    yield { ...place, id, type, time, fields, payload }
  }
}

type Wanted = (id: string) => boolean

async function judged(records: readonly RecordContent[], wanted: Wanted = () => true): Promise<unknown[]> {
  const found: unknown[] = []
  const anchors = Anchors.fromPem(readFileSync(root.certificate, 'latin1'))
  const verify = (payload: Uint8Array, type: SignatureType, bytes: Uint8Array) =>
    verifySignature(payload, type, bytes, anchors)
  for await (const { record, refusal, unsigned } of judgedRecords(treeOf(records), wanted, verify))
    found.push([record.id, unsigned === true ? 'unsigned' : (refusal ?? 'signed')])
  return found
}

const onlyA: Wanted = (id) => id === 'a'

describe('the judgement of records before they are written', () => {
  it('accepts signed records and their signatures, and tells the others apart', async () => {
    const good = await pair('good', PAYLOAD, JWS_TYPE)
    const bad = await pair('bad', PAYLOAD, CMS_TYPE, { by: stranger })
    const plain = { id: 'plain', type: 'text/plain', time: now, payload: PAYLOAD }
    const of = good[1]?.id
    expect(await judged([plain, ...good, plain, ...bad])).toEqual([
      ['plain', 'unsigned'],
      ['good', 'signed'],
      [of, 'signed'],
      ['plain', 'unsigned'],
      [
        'bad',
        'expected a valid signature of the author of "bad", found an invalid one: expected a chain to a trust anchor, found one that is not anchored',
      ],
    ])
    expect(await judged([plain, ...good, ...bad], (id) => id === 'good')).toEqual([['good', 'signed']])
  })

  it('refuses a record whose signature belongs to another record or is missing', async () => {
    const a = await pair('a', PAYLOAD, JWS_TYPE)
    const b = await pair('b', PAYLOAD, CMS_TYPE)
    const [record, signature] = a as [RecordContent, RecordContent]
    const other = { ...signature, payload: (b[1] as RecordContent).payload }
    const cases: [readonly RecordContent[], string][] = [
      [[record], 'found none'],
      [[record, ...b], 'found "b"'],
      [[record, other], 'expected a signature with the SHA-256'],
    ]
    for (const [records, expected] of cases)
      expect(await judged(records, onlyA)).toEqual([['a', expect.stringContaining(expected)]])
  })
})
