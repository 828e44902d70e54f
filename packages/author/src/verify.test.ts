import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CMS_TYPE, JWS_TYPE } from '@service-fs/format/author'
import { afterAll, describe, expect, it } from 'vitest'
import { QUICK } from '../../../test/support/quick.ts'
import { Anchors } from './chain.ts'
import { SignatureError } from './errors.ts'
import {
  AUTHORITY,
  fingerprint,
  makeAuthor,
  makeCertificate,
  openssl,
  SIGNER,
  signCms,
  signJws,
  type KeyKind,
} from './testing.ts'
import { signatureIn, verifySignature } from './verify.ts'

const dir = mkdtempSync(join(tmpdir(), 'service-fs-author-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const payload = Buffer.from('{"total":12}')
const { root, author } = makeAuthor(dir)
const [middle = ''] = author.issuers
const anchorsOf = (...files: string[]): Anchors =>
  Anchors.fromPem(files.map((file) => readFileSync(file, 'utf8')).join(''))
const jws = (text: string, anchors?: Anchors) =>
  verifySignature(payload, JWS_TYPE, Buffer.from(text), anchors)
const cms = (bytes: Uint8Array, anchors?: Anchors) => verifySignature(payload, CMS_TYPE, bytes, anchors)

function dates(file: string): string[] {
  const text = openssl('x509', '-in', file, '-noout', '-startdate', '-enddate', '-dateopt', 'iso_8601')
  return text
    .toString()
    .trim()
    .split('\n')
    .map((line) => line.replace(/^\w+=/, '').replace(' ', 'T'))
}

describe('a CAdES signature by openssl cms', () => {
  it('verifies a signature, and returns its author, chain, hash and times', async () => {
    const bytes = signCms(dir, payload, author)
    const found = await cms(bytes)
    const [from = '', to = ''] = dates(author.certificate)
    expect(found).toMatchObject({
      type: CMS_TYPE,
      author: {
        subject: String.raw`CN=Alice Ångström,O=Example\, Inc.,C=DE`,
        certificate: fingerprint(author.certificate),
        chain: [middle, root.certificate].map(fingerprint),
        signature: createHash('sha256').update(bytes).digest('hex'),
      },
      notBefore: from.replace('Z', '.000Z'),
    })
    expect(found.notAfter <= to.replace('Z', '.999Z')).toBe(true)
    expect(found.author).not.toHaveProperty('anchor')
    const shown = openssl(
      'cms',
      '-cmsout',
      '-print',
      '-noout',
      '-inform',
      'DER',
      '-in',
      saved(bytes),
    ).toString()
    const [, time = ''] = /signingTime[\s\S]*?UTCTIME:(.*)/.exec(shown) ?? []
    expect(found.author.signedAt).toBe(new Date(time).toISOString())
  })

  const kinds: readonly [KeyKind, string[]][] = [
    ['p256', ['-md', 'sha384']],
    ['p384', ['-md', 'sha384']],
    ['p521', ['-md', 'sha512']],
    ['rsa', ['-md', 'sha256']],
    ['rsa', ['-md', 'sha512', '-keyopt', 'rsa_padding_mode:pss']],
    ['p256', ['-keyid']],
  ]
  it.each(kinds)('verifies with a key %s and %j', async (kind, flags) => {
    const signer = kind === 'p256' ? author : makeCertificate(dir, `signer-${kind}`, { kind })
    const found = await cms(signCms(dir, payload, signer, ['-cades', ...flags]))
    expect(found.author.certificate).toBe(fingerprint(signer.certificate))
  })

  it.each([
    ['without signing-certificate-v2', [], 'signing-certificate-v2'],
    ['without signed attributes', ['-noattr'], 'signedAttrs'],
    ['with its content', ['-cades', '-nodetach'], 'eContent'],
    ['with SHA-1', ['-cades', '-md', 'sha1'], 'digestAlgorithm'],
    ['without certificates', ['-cades', '-nocerts'], 'certificates'],
  ])('rejects a signature %s', async (_, flags, message) => {
    await expect(cms(signCms(dir, payload, author, flags))).rejects.toThrow(message)
  })

  it('rejects a signature with two signers', async () => {
    const second = makeCertificate(dir, 'second')
    const more = ['-cades', '-signer', second.certificate, '-inkey', second.key]
    await expect(cms(signCms(dir, payload, author, more))).rejects.toThrow(
      'signerInfos: expected one signature',
    )
  })

  it('rejects a valid signature of another payload', async () => {
    const bytes = signCms(dir, Buffer.from('{"total":13}'), author)
    await expect(cms(bytes)).rejects.toThrow('messageDigest')
  })
})

describe('a JWS by node:crypto', () => {
  it.each([false, true])(
    'verifies a signature, and returns its author and the stated time; unencoded payload: %s',
    async (unencoded) => {
      const text = signJws(payload, author, { unencoded })
      expect((await jws(text)).author).toEqual({
        subject: String.raw`CN=Alice Ångström,O=Example\, Inc.,C=DE`,
        certificate: fingerprint(author.certificate),
        chain: [middle, root.certificate].map(fingerprint),
        signature: createHash('sha256').update(text).digest('hex'),
        signedAt: '2026-09-21T14:13:20.000Z',
      })
    },
  )

  it.each([
    ['p384', 'ES384'],
    ['p521', 'ES512'],
    ['rsa', 'RS256'],
    ['rsa', 'PS256'],
    ['ed25519', 'EdDSA'],
    ['ed25519', 'Ed25519'],
  ] as const)('verifies with a key %s and %s', async (kind, alg) => {
    const signer = makeCertificate(dir, `jws-${kind}`, { kind })
    const found = await jws(signJws(payload, signer, { alg }))
    expect(found.author.certificate).toBe(fingerprint(signer.certificate))
  })

  it('accepts sigT instead of iat, whether it is critical or not', async () => {
    const sigT = { iat: undefined, sigT: '2026-11-22T18:43:00Z' }
    for (const header of [sigT, { ...sigT, crit: ['sigT'] }])
      expect((await jws(signJws(payload, author, { header }))).author.signedAt).toBe(
        '2026-11-22T18:43:00.000Z',
      )
  })

  it.each([
    ['without x5c', { x5c: undefined }, 'x5c'],
    ['without x5t#S256', { 'x5t#S256': undefined }, 'x5t#S256'],
    ['with the thumbprint of another certificate', { 'x5t#S256': 'A'.repeat(43) }, 'x5t#S256'],
    ['without a time', { iat: undefined }, 'iat'],
    ['with two times', { sigT: '2026-11-22T18:43:00Z' }, 'iat'],
    ['with a local time', { iat: undefined, sigT: '2026-11-22T18:43:00+01:00' }, 'sigT'],
    ['with sigD', { sigD: { mId: 'x' } }, 'sigD'],
    ['with an unknown critical parameter', { crit: ['sigX'], sigX: 1 }, 'valid signature'],
    ['with b64 that is not critical', { b64: false }, 'valid signature'],
    ['with alg none', { alg: 'none' }, 'alg'],
    ['with an HMAC', { alg: 'HS256' }, 'alg'],
    ['with the algorithm of another key', { alg: 'RS256' }, 'valid signature'],
  ])('rejects a signature %s', async (_, header, message) => {
    await expect(jws(signJws(payload, author, { header }))).rejects.toThrow(message)
  })

  it('rejects a valid signature of another payload, and one that contains its payload', async () => {
    const text = signJws(Buffer.from('{"total":13}'), author)
    await expect(jws(text)).rejects.toThrow('valid signature')
    const inside = signJws(payload, author).replace('..', `.${payload.toString('base64url')}.`)
    await expect(jws(inside)).rejects.toThrow('without a payload')
  })
})

describe('a chain', () => {
  const other = makeAuthor(mkdtempSync(join(dir, 'other-')))

  it('accepts as the anchor of a chain its root, an authority, the certificate itself, or a root that the chain lacks', async () => {
    const withoutRoot = { ...author, issuers: [middle] }
    const alone = { ...author, issuers: [] }
    for (const [signer, anchor] of [
      [author, root.certificate],
      [author, middle],
      [author, author.certificate],
      [withoutRoot, root.certificate],
      [alone, author.certificate],
    ] as const) {
      const anchors = anchorsOf(other.root.certificate, anchor)
      expect((await jws(signJws(payload, signer), anchors)).author.anchor).toBe(fingerprint(anchor))
      expect((await cms(signCms(dir, payload, signer), anchors)).author.anchor).toBe(fingerprint(anchor))
    }
  })

  it('rejects a chain without an anchor of the operator', async () => {
    const anchors = anchorsOf(other.root.certificate)
    await expect(jws(signJws(payload, author), anchors)).rejects.toThrow('not anchored')
    await expect(cms(signCms(dir, payload, author), anchors)).rejects.toThrow('not anchored')
    const self = makeCertificate(dir, 'self')
    await expect(jws(signJws(payload, self), anchorsOf(root.certificate))).rejects.toThrow('not anchored')
  })

  const cases: readonly [string, () => Parameters<typeof signJws>[1], string][] = [
    [
      'out of order',
      () => ({ ...author, issuers: [...author.issuers].reverse() }),
      'next certificate to be its issuer',
    ],
    ['with a certificate of another chain', () => ({ ...author, issuers: other.author.issuers }), 'issuer'],
    [
      'below a certificate that is no authority',
      () => makeCertificate(dir, 'below', { issuer: author }),
      'an issuer that may sign certificates',
    ],
    [
      'longer than pathlen allows',
      () => {
        const deeper = makeCertificate(dir, 'deeper', {
          extensions: AUTHORITY,
          issuer: { certificate: middle, key: middle.replace(/pem$/, 'key'), issuers: [root.certificate] },
        })
        return makeCertificate(dir, 'deepest', { issuer: deeper })
      },
      'at most 0 authorities',
    ],
    ['with a short key', () => makeCertificate(dir, 'short', { kind: 'rsa1024' }), 'RSA key of 2048'],
    ['with another curve', () => makeCertificate(dir, 'koblitz', { kind: 'secp256k1' }), 'curve'],
    [
      'whose key must not sign documents',
      () => makeCertificate(dir, 'agree', { extensions: SIGNER.replace('nonRepudiation', 'keyAgreement') }),
      'key usage',
    ],
    [
      'with an unknown critical extension',
      () => makeCertificate(dir, 'strange', { extensions: `${SIGNER}1.2.3.4=critical,DER:0500\n` }),
      'critical extension 1.2.3.4',
    ],
    ['without a subject', () => makeCertificate(dir, 'nobody', { subject: '/' }), 'subject'],
  ]
  it.each(cases)('rejects a signature %s', async (_, make, message) => {
    const signer = make()
    const alg = signer.certificate.endsWith('short.pem') ? 'RS256' : 'ES256'
    await expect(jws(signJws(payload, signer, { alg }))).rejects.toThrow(message)
  })

  it('rejects a chain of more than eight certificates', async () => {
    const issuers = Array.from({ length: 8 }, () => root.certificate)
    await expect(jws(signJws(payload, { ...author, issuers }))).rejects.toThrow('1 to 8 certificates')
  })

  it('escapes control characters and bidirectional characters of a subject', async () => {
    const signer = makeCertificate(dir, 'bidi', { subject: '/CN=a\u202eb\u0085c' })
    expect((await jws(signJws(payload, signer))).author.subject).toBe(String.raw`CN=a\E2\80\AEb\C2\85c`)
  })
})

describe('hostile input', () => {
  const rounds = QUICK ? 150 : 1000
  const random = mulberry(20261130)

  it(`never accepts a changed signature, and never throws anything but a SignatureError (${rounds} of each form)`, async () => {
    const jwsBytes = Buffer.from(signJws(payload, author))
    const cmsBytes = signCms(dir, payload, author)
    const anchors = anchorsOf(root.certificate)
    expect((await jws(jwsBytes.toString(), anchors)).author.subject).toContain('Alice')
    expect((await cms(cmsBytes, anchors)).author.subject).toContain('Alice')
    for (const [type, valid] of [
      [JWS_TYPE, jwsBytes],
      [CMS_TYPE, cmsBytes],
    ] as const)
      for (let i = 0; i < rounds; i++) {
        const changed = mutated(valid, random)
        if (changed.equals(valid)) continue
        const result = await verifySignature(payload, type, changed, anchors).catch((error: unknown) => error)
        if (!(result instanceof SignatureError))
          expect([type, i, changed.toString('hex'), result]).toBe('rejected')
      }
  })

  it('rejects nested ASN.1 beyond 32 levels without overflowing the stack', async () => {
    let nested = Buffer.from([0x30, 0])
    for (let i = 0; i < 8000; i++) {
      const length = Buffer.alloc(4)
      length.writeUInt16BE(nested.length, 1)
      nested = Buffer.concat([Buffer.from([0x30, 0x82]), length.subarray(1, 3), nested])
    }
    await expect(cms(nested)).rejects.toBeInstanceOf(SignatureError)
    await expect(cms(Buffer.alloc(65_536, 0x30))).rejects.toBeInstanceOf(SignatureError)
    await expect(cms(Buffer.alloc(65_536, 0x80))).rejects.toBeInstanceOf(SignatureError)
  })

  it('rejects a signature that is empty or larger than 64 KiB', async () => {
    for (const size of [0, 65_537]) await expect(cms(Buffer.alloc(size))).rejects.toThrow('1 to 65536 bytes')
  })

  it('reads a JWS or canonical base64, and nothing else', () => {
    expect(signatureIn('a..b')).toEqual({ type: JWS_TYPE, bytes: Buffer.from('a..b') })
    expect(signatureIn('MAA=')).toEqual({ type: CMS_TYPE, bytes: Buffer.from([0x30, 0]) })
    for (const text of ['MAA', 'MA A=', 'é', 'MAB=']) expect(() => signatureIn(text)).toThrow(SignatureError)
    expect(() => signatureIn('A'.repeat(90_000))).toThrow('at most 65536 bytes')
  })
})

function saved(bytes: Uint8Array): string {
  const file = join(dir, 'signature.der')
  writeFileSync(file, bytes)
  return file
}

function mulberry(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Returns a copy with a random fault: flipped bits, or a piece that is cut off, repeated or removed. */
function mutated(valid: Buffer, next: () => number): Buffer {
  const at = Math.floor(next() * valid.length)
  const kind = next()
  if (kind < 0.1) return valid.subarray(0, at)
  const length = 1 + Math.floor(next() * 16)
  if (kind < 0.2) return Buffer.concat([valid.subarray(0, at), valid.subarray(at + length)])
  if (kind < 0.3) return Buffer.concat([valid.subarray(0, at + length), valid.subarray(at)])
  const changed = Buffer.from(valid)
  for (let flips = 1 + Math.floor(next() * 3); flips > 0; flips--) {
    const place = Math.floor(next() * valid.length)
    changed[place] = (changed[place] as number) ^ (1 << Math.floor(next() * 8))
  }
  return changed
}
