import {
  authorFields,
  CMS_TYPE,
  JWS_TYPE,
  SIGNATURE_OF_FIELD,
  signatureId,
  type Author,
} from '@service-fs/format/author'
import type { RecordContent } from '@service-fs/format/entry'
import { nativeCodec, sha256Hex } from '@service-fs/native/native'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SignatureVerifier } from './companions.ts'
import { problemText } from './problems.ts'
import { makeLedger, remove, serveDirectory, temporary, testRecords, testSigner } from './testing.ts'
import type { LedgerReport } from './verify.ts'
import { verifyPlace } from './verify-place.ts'

let dir: string
beforeEach(async () => {
  dir = await temporary()
})
afterEach(() => remove(dir))

type Untimed = Omit<RecordContent, 'time'>
const SIGNATURE = Buffer.from('head..value')
const plain: Untimed = { id: 'plain', type: 'text/plain', payload: Buffer.from('plain') }

const authorOf = (signature: Uint8Array): Author => ({
  subject: 'CN=Alice',
  certificate: 'c'.repeat(64),
  chain: ['d'.repeat(64)],
  signature: sha256Hex(signature),
  signedAt: '2026-11-22T00:00:00.000Z',
})
const signed = (id: string, more: Partial<Untimed> = {}, signature: Uint8Array = SIGNATURE): Untimed => ({
  ...plain,
  id,
  fields: authorFields(authorOf(signature)),
  ...more,
})
const companion = (id: string, more: Partial<Untimed> = {}): Untimed => ({
  id: signatureId(id, sha256Hex, nativeCodec),
  type: JWS_TYPE,
  fields: [[SIGNATURE_OF_FIELD, id]],
  payload: SIGNATURE,
  ...more,
})

/** Writes `before` plain records, then the given records, then `after` plain records. */
async function write(before: number, others: readonly Untimed[], after = 0): Promise<void> {
  const records = testRecords(before + others.length + after)
  await makeLedger(dir, { records: records.map((record, i) => ({ ...record, ...others[i - before] })) })
}

function verified(place: string, signatures?: SignatureVerifier): Promise<LedgerReport> {
  const vkeys = [testSigner().vkey]
  return verifyPlace(place, { vkeys, withoutAudit: true, threads: 0, ...(signatures && { signatures }) })
}

const problemsOf = ({ problems }: LedgerReport): string[] => problems.map(problemText)

describe('the verification of signed records', () => {
  const good = [
    signed('a'),
    companion('a'),
    plain,
    signed('b'),
    companion('b', { type: CMS_TYPE }),
    signed('large', { payload: Buffer.alloc(70_000) }),
    companion('large'),
  ]

  it.each([3, 254, 255, 256, 300])(
    'verify accepts signatures that follow their records, after %d other records',
    async (before) => {
      await write(before, good, 300)
      const report = await verified(dir)
      expect(problemsOf(report)).toEqual([])
      expect(report.notes).toContain(
        '3 records are signed by their authors; no signature of them was verified',
      )
      const server = await serveDirectory(dir)
      try {
        expect(problemsOf(await verified(server.url))).toEqual([])
      } finally {
        await server.close()
      }
    },
  )

  it('verify accepts a signature that is split over two entries', async () => {
    const long = Buffer.alloc(65_500, 'x')
    await write(3, [signed('a', {}, long), companion('a', { payload: long }), plain])
    expect(problemsOf(await verified(dir))).toEqual([])
  })

  const wrong: [string, Untimed[], string][] = [
    [
      'a signature that is missing',
      [signed('a'), plain],
      'expected the signature of "a", "vnd.service-fs.signature/',
    ],
    ['a signature that is missing at the end', [signed('a')], 'expected the signature of "a", found the end'],
    ['a signature after another record', [signed('a'), plain, companion('a')], 'found "plain"'],
    ['a signature of another record', [signed('a'), companion('b')], 'expected the signature of "a", '],
    [
      'a signature that names another record',
      [signed('a'), companion('a', { fields: [[SIGNATURE_OF_FIELD, 'b']] })],
      'expected signature-of: "a", found b',
    ],
    [
      'a signature with other bytes',
      [signed('a'), companion('a', { payload: Buffer.from('head..other') })],
      `with the SHA-256 ${sha256Hex(SIGNATURE)}, found `,
    ],
    [
      'a signature of another type',
      [signed('a'), companion('a', { type: 'text/plain' })],
      'as a JWS or CMS, found text/plain',
    ],
    ['a signature without its record', [plain, companion('a')], 'expected the signed record directly before'],
    [
      'a signed record without a certificate',
      [
        signed('a', {
          fields: authorFields(authorOf(SIGNATURE)).filter(([name]) => name !== 'author-certificate'),
        }),
        plain,
      ],
      'expected author-certificate: a SHA-256 in hex, found nothing',
    ],
  ]
  it.each(wrong)('reports %s', async (_, records, expected) => {
    // Test the last record of a ledger, and a record of a sealed bundle.
    for (const before of [2, 254]) {
      await write(before, records, records.length === 1 ? 0 : 300)
      expect(problemsOf(await verified(dir)).join('\n')).toContain(expected)
      await remove(dir)
    }
  })
})

describe('a verifier of signatures', () => {
  const facts = {
    author: authorOf(SIGNATURE),
    issuer: 'CN=Authority',
    notBefore: '2026-01-01T00:00:00.000Z',
    notAfter: '2027-01-01T00:00:00.000Z',
  }
  const records = [
    signed('a'),
    companion('a'),
    signed('large', { payload: Buffer.alloc(70_000, 7) }),
    companion('large'),
  ]

  it('a verifier of signatures receives each payload with its signature', async () => {
    await write(254, records, 3)
    const seen: unknown[] = []
    const report = await verified(dir, async (payload, type, signature) => {
      seen.push([payload.length, type, Buffer.from(signature).toString()])
      return { ...facts, author: { ...facts.author, anchor: 'e'.repeat(64) } }
    })
    expect(problemsOf(report)).toEqual([])
    expect(seen).toEqual([
      [5, JWS_TYPE, 'head..value'],
      [70_000, JWS_TYPE, 'head..value'],
    ])
    expect(report.notes).toContain(
      '2 records are signed by their authors; each signature was verified at the time of its record, without revocation and trust anchors',
    )
  })

  it.each<[string, SignatureVerifier, string]>([
    [
      'rejects a signature',
      () => Promise.reject(new Error('expected x, found y')),
      'a valid signature of the author of "',
    ],
    [
      'finds another author',
      async () => ({ ...facts, author: { ...facts.author, subject: 'CN=Bob' } }),
      'CN=Bob',
    ],
    [
      'finds certificates that had expired',
      async () => ({ ...facts, notAfter: facts.notBefore }),
      'that are valid at',
    ],
    [
      'finds certificates from later',
      async () => ({ ...facts, notBefore: facts.notAfter }),
      'that are valid at',
    ],
  ])('a verifier that %s makes a problem for each record', async (_, verifier, expected) => {
    await write(2, records)
    const report = await verified(dir, verifier)
    expect(report).toMatchObject({ ok: false, problemCount: 2 })
    for (const text of problemsOf(report)) expect(text).toContain(expected)
  })
})
