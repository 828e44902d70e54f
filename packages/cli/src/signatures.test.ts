// `verify` over ledgers with signatures that openssl and node:crypto make.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeAuthor, signCms, signJws } from '@service-fs/author/testing'
import {
  authorFields,
  CMS_TYPE,
  JWS_TYPE,
  SIGNATURE_OF_FIELD,
  signatureId,
  type SignatureType,
} from '@service-fs/format/author'
import type { RecordContent } from '@service-fs/format/entry'
import { makeLedger, testSigner } from '@service-fs/client/testing'
import { nativeCodec, sha256Hex } from '@service-fs/native/native'
import { verifySignature } from '@service-fs/author/verify'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { cli } from './testing.ts'

const dir = mkdtempSync(join(tmpdir(), 'signatures-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const PAYLOAD = Buffer.from('{"total":12}')
const LARGE = Buffer.alloc(70_000, 'large')
const { author } = makeAuthor(dir)
let now = ''
beforeAll(() => {
  now = new Date().toISOString()
})

interface Change {
  payload?: Uint8Array
  time?: string
  subject?: string
  signature?: (bytes: Uint8Array) => Uint8Array
}

/** Returns a signed record and its companion, with a change that the ledger's own hashes do not show. */
async function pair(
  id: string,
  payload: Uint8Array,
  type: SignatureType,
  change: Change = {},
): Promise<RecordContent[]> {
  const right = type === JWS_TYPE ? Buffer.from(signJws(payload, author)) : signCms(dir, payload, author)
  const facts = (await verifySignature(payload, type, right)).author
  const bytes = change.signature?.(right) ?? right
  const fields = authorFields({
    ...facts,
    signature: sha256Hex(bytes),
    subject: change.subject ?? facts.subject,
  })
  const time = change.time ?? now
  const of = signatureId(id, sha256Hex, nativeCodec)
  return [
    { id, type: 'application/json', time, fields, payload: change.payload ?? payload },
    { id: of, type, time, fields: [[SIGNATURE_OF_FIELD, id]], payload: bytes },
  ]
}

async function report(name: string, records: readonly RecordContent[]): Promise<any> {
  const at = join(dir, name)
  await makeLedger(at, { records: [...records] })
  const io = await cli('verify', at, '--no-audit', '--json', '--vkey', testSigner().vkey)
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
