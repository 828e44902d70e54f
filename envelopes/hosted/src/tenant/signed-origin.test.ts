// Tests signatures of authors over HTTP, with certificates and signatures that openssl makes.
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  fingerprint,
  makeAuthor,
  makeCertificate,
  openssl,
  signCms,
  signJws,
  type Identity,
} from '@service-fs/author/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { start, type Config, type Daemon } from './daemon.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
const PAYLOAD = '{"total":12}'

const dir = mkdtempSync(join(tmpdir(), 'signed-origin-'))
const daemons: Daemon[] = []
afterAll(async () => {
  for (const daemon of daemons) await daemon.stop()
  rmSync(dir, { recursive: true, force: true })
})

const { root, author } = makeAuthor(dir)
const stranger = makeCertificate(dir, 'stranger')

async function serve(name: string, authors?: Config['authors']): Promise<Daemon> {
  const place = { moduleId: 'acme', root: join(dir, name), origin: undefined }
  const listen = { host: '127.0.0.1', port: 0 }
  const daemon = await start({ ...place, listen, ...(authors && { authors }) }, () => undefined)
  daemons.push(daemon)
  return daemon
}

async function ask(
  daemon: Daemon,
  path: string,
  init: RequestInit = {},
): Promise<{ status: number; json: any }> {
  const got = await fetch(`${daemon.url}t/acme${path}`, init)
  return { status: got.status, json: await got.json() }
}

const post = (
  daemon: Daemon,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = JSON_TYPE,
) => ask(daemon, '/v1/append', { method: 'POST', headers, body })

const record = (id: string, more: object = {}): string =>
  JSON.stringify({ payload_id: id, payload: { total: 12 }, ...more })
const jws = (by: Identity = author, payload = PAYLOAD): string => signJws(Buffer.from(payload), by)
const cms = (by: Identity = author): string => signCms(dir, Buffer.from(PAYLOAD), by).toString('base64')
const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const companionOf = (id: string): string => `vnd.service-fs.signature/${sha256(id)}`

/** Makes a certificate that expired long ago. */
function makeExpired(): Identity {
  const { key } = makeCertificate(dir, 'expired')
  const at = (name: string): string => join(dir, name)
  writeFileSync(at('index.txt'), '')
  writeFileSync(
    at('ca.cnf'),
    `[ca]\ndefault_ca=d\n[d]\ndatabase=${at('index.txt')}\nnew_certs_dir=${dir}\npolicy=p\ndefault_md=sha256\nrand_serial=yes\n` +
      'x509_extensions=e\n[p]\ncommonName=supplied\n[e]\nkeyUsage=critical,nonRepudiation\n',
  )
  const dates = ['-startdate', '20200101000000Z', '-enddate', '20210101000000Z']
  const files = ['-in', at('expired.csr'), '-out', at('old.pem')]
  openssl(
    'ca',
    '-batch',
    '-config',
    at('ca.cnf'),
    '-selfsign',
    '-keyfile',
    key,
    '-notext',
    ...files,
    ...dates,
  )
  return { certificate: at('old.pem'), key, issuers: [] }
}

describe('a daemon without trust anchors', () => {
  let daemon: Daemon
  beforeAll(async () => {
    daemon = await serve('open')
  })

  it('stores signatures of all forms, shows the authors, and answers a repeated append', async () => {
    const signatures = { a: jws(), b: cms(), c: jws(stranger), d: cms(stranger) }
    const first = await post(daemon, record('a', { signature: signatures.a }))
    expect(first).toMatchObject({ status: 200, json: { cursor: 1, duplicate: false } })
    const described = {
      subject: String.raw`CN=Alice Ångström,O=Example\, Inc.,C=DE`,
      certificate: fingerprint(author.certificate),
      chain: author.issuers.map(fingerprint),
      signature: sha256(signatures.a),
      signed_at: '2026-09-21T14:13:20.000Z',
    }
    expect(first.json.author).toEqual(described)
    const raw = { 'x-payload-id': 'b', ...JSON_TYPE, 'x-signature': signatures.b }
    expect((await post(daemon, PAYLOAD, raw)).json).toMatchObject({
      cursor: 3,
      author: { signature: sha256(Buffer.from(signatures.b, 'base64')) },
    })
    const lines = [
      record('c', { signature: signatures.c }),
      record('plain'),
      record('d', { signature: signatures.d }),
    ]
    const batch = await post(daemon, lines.join('\n'), { 'content-type': 'application/x-ndjson' })
    expect(batch.json.entries.map((one: any) => [one.cursor, one.author?.subject])).toEqual([
      [5, 'CN=stranger'],
      [7, undefined],
      [8, 'CN=stranger'],
    ])
    const { entries } = (await ask(daemon, '/v1/entries')).json
    expect(entries.map((one: any) => one.payload_id)).toEqual([
      'a',
      companionOf('a'),
      'b',
      companionOf('b'),
      'c',
      companionOf('c'),
      'plain',
      'd',
      companionOf('d'),
    ])
    expect(entries[0].author).toEqual(described)
    expect(entries[1]).toMatchObject({
      type: 'application/jose',
      signature_of: 'a',
      payload_base64: Buffer.from(signatures.a).toString('base64'),
    })
    expect(entries[3]).toMatchObject({ type: 'application/pkcs7-signature', payload_base64: signatures.b })
    const again = await post(daemon, record('a', { signature: signatures.a }))
    expect(again.json).toEqual({ ...first.json, duplicate: true, checkpoint: again.json.checkpoint })
    for (const other of [{}, { signature: jws() }])
      expect(await post(daemon, record('a', other))).toMatchObject({ status: 409, json: { cursor: 1 } })
  })

  const [head = '', value = ''] = jws().split('..')
  it.each([
    [
      'tampered',
      `${head}..${value.startsWith('A') ? 'B' : 'A'}${value.slice(1)}`,
      'expected a valid signature',
    ],
    ['of another payload', jws(author, '{"total":13}'), 'expected a valid signature'],
    [
      'of an expired certificate',
      jws(makeExpired()),
      'found a chain that is valid from 2020-01-01T00:00:00.000Z',
    ],
    ['that is none', 'TQ==', 'signature: expected'],
  ])('records nothing with a signature %s', async (_, signature, message) => {
    const { size } = daemon.tenant.ledger
    const { status, json } = await post(daemon, record('bad', { signature }))
    expect({ status, code: json.code }).toEqual({ status: 400, code: 'bad-signature' })
    expect(json.detail).toContain(message)
    const batch = [record('good', { signature: jws() }), record('bad', { signature })].join('\n')
    const answer = await post(daemon, batch, { 'content-type': 'application/x-ndjson' })
    expect(answer.json.code).toBe('bad-signature')
    expect(daemon.tenant.ledger.size).toBe(size)
  })
})

describe('a daemon with trust anchors and a policy', () => {
  let daemon: Daemon
  beforeAll(async () => {
    const require = ['application/vnd.acme.', 'text/']
    daemon = await serve('anchored', { anchors: root.certificate, require })
  })

  it('takes only signatures that lead to an anchor, and names the anchor', async () => {
    const { json } = await post(daemon, record('a', { signature: cms() }))
    expect(json.author.anchor).toBe(fingerprint(root.certificate))
    const { json: other } = await post(daemon, record('b', { signature: jws(stranger) }))
    expect(other).toMatchObject({ code: 'bad-signature', field: 'signature' })
    expect(other.detail).toContain('expected a chain to a trust anchor')
  })

  it('demands signatures of the types that the policy names', async () => {
    const { size } = daemon.tenant.ledger
    for (const type of ['application/vnd.acme.order+json', 'Text/Plain;charset=utf-8']) {
      const { status, json } = await post(daemon, record('r', { type }))
      expect({ status, code: json.code, field: json.field }).toEqual({
        status: 403,
        code: 'signature-required',
        field: 'signature',
      })
      const raw = await post(daemon, 'x', { 'x-payload-id': 'r', 'content-type': type })
      expect(raw.json.code).toBe('signature-required')
      const lines = `${record('free')}\n${record('r', { type })}`
      const batch = await post(daemon, lines, { 'content-type': 'application/x-ndjson' })
      expect(batch.json).toMatchObject({ code: 'signature-required', line: 2 })
    }
    const frame = Buffer.from('\0\x01\0\x08\0\0\0\0rtext/csv', 'latin1')
    const framed = await post(daemon, frame, { 'content-type': 'application/vnd.service-fs.batch' })
    expect(framed.json).toMatchObject({ code: 'signature-required', record: 1 })
    expect(daemon.tenant.ledger.size).toBe(size)
    const type = 'application/vnd.acme.order+json'
    expect((await post(daemon, record('signed', { type, signature: jws() }))).status).toBe(200)
    expect((await post(daemon, record('free'))).status).toBe(200)
  })
})

it('every record must be signed if the policy names all types', async () => {
  const daemon = await serve('all', { anchors: author.certificate, require: [''] })
  expect((await post(daemon, record('a'))).json.code).toBe('signature-required')
  const { json } = await post(daemon, record('a', { signature: jws() }))
  expect(json.author.anchor).toBe(fingerprint(author.certificate))
})

it.each([
  ['missing', join(dir, 'none.pem'), 'ENOENT'],
  ['without certificates', author.key, 'expected certificates in PEM, found none'],
])('the daemon does not start with anchors that are %s', async (name, anchors, message) => {
  const failure = await serve(`bad-${name}`, { anchors, require: [] }).catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'authors', message: expect.stringContaining(message) })
})
