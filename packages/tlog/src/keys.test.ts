import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { formatCheckpointText, openCheckpoint } from './checkpoint.ts'
import { EMPTY_ROOT, bytesHash } from './hash.ts'
import { formatSignerKey, parseSignerKey, signerFromKey, signerVkey, verifierFromVkey } from './keys.ts'
import {
  formatSignatureLine,
  formatVkey,
  keyId,
  openNote,
  parseNote,
  parseSignatureLine,
  signNote,
} from './note.ts'
import { type KeyCrypto } from './scheme.ts'

const refused = (code: string): unknown => expect.objectContaining({ name: 'TlogError', code })

// ML-DSA-44 by filippo.io/mldsa, Ed25519 cosignatures by filippo.io/torchwood: see testdata/interop.go.
const {
  cosigned,
}: {
  cosigned: Record<'note' | 'mldsaName' | 'mldsaSeed' | 'mldsaVkey' | 'mldsaLine', string> & {
    mldsaTime: number
    witnesses: Record<string, string>
  }
} = JSON.parse(readFileSync(new URL('testdata/interop.json', import.meta.url), 'utf8'))

const SKEY = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz'
const text = formatCheckpointText({
  origin: 'example.org/log',
  size: 5,
  root: bytesHash(new Uint8Array(32).fill(9)),
  extensions: [],
})
const seed = new Uint8Array(32).fill(7)
const types = [0x01, 0x04, 0x06]
const now = (): number => 1_795_370_400.9
const skeyOf = (type: number): string => formatSignerKey({ name: 'example.org/log', type, seed })

const spki = (key: Uint8Array): KeyObject =>
  createPublicKey({
    key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), key]),
    format: 'der',
    type: 'spki',
  })
const pkcs8 = (key: Uint8Array): KeyObject =>
  createPrivateKey({
    key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), key]),
    format: 'der',
    type: 'pkcs8',
  })

const expectRefusal = (skey: string): void => {
  let error: unknown
  try {
    signerFromKey(skey, { now })
  } catch (caught) {
    error = caught
  }
  expect(error).toEqual(refused('signer-key'))
  expect(String(error)).not.toContain('AYEKFALVFGy')
}

describe('signers and verifiers', () => {
  it.each(types)('of type %d agree', async (type) => {
    const signer = signerFromKey(skeyOf(type), { now })
    const verifier = verifierFromVkey(signer.vkey)
    expect(verifier.vkey.type).toBe(type)
    const note = await signNote(text, [signer])
    const { checkpoint, signatures } = openCheckpoint(note, [verifier], 'example.org/log')
    expect(checkpoint.size).toBe(5)
    const [signature] = signatures
    expect(verifier.cosignedAt(signature!.signature)).toBe(type === 1 ? undefined : 1_795_370_400)
    for (const at of [0, 8, signature!.signature.length - 1]) {
      const wrong = signature!.signature.slice()
      wrong[at]! ^= 1
      expect(verifier.verify(text, wrong)).toBe(false)
    }
    expect(verifier.verify(text, signature!.signature.subarray(1))).toBe(false)
    expect(verifier.verify(text.replace('5', '6'), signature!.signature)).toBe(false)
    expect(verifier.verify(`${text}extension\n`, signature!.signature)).toBe(type === 6)
  })

  it('have a different key id for each type', () => {
    expect(new Set(types.map((type) => parseSignerKey(skeyOf(type)).keyId)).size).toBe(3)
  })

  it.each([0x04, 0x06])('of type %d sign and verify checkpoints only', async (type) => {
    const signer = signerFromKey(skeyOf(type), { now })
    await expect(signer.sign('any text\n')).rejects.toThrow(refused('checkpoint'))
    await expect(signer.sign(text.slice(0, -1))).rejects.toThrow(refused('checkpoint'))
    const { signature } = parseSignatureLine(await signer.sign(text))
    expect(verifierFromVkey(signer.vkey).verify('any text\n', signature)).toBe(false)
    expect(verifierFromVkey(signer.vkey).cosignedAt(new Uint8Array(7))).toBeUndefined()
  })

  it('require a working clock to cosign', async () => {
    expect(() => signerFromKey(skeyOf(4))).toThrow(refused('signer-key'))
    expect(() => signerFromKey(skeyOf(6))).toThrow(refused('signer-key'))
    for (const time of [-1, NaN, 2 ** 53]) {
      await expect(signerFromKey(skeyOf(4), { now: () => time }).sign(text)).rejects.toThrow(
        refused('cosignature'),
      )
      await expect(signerFromKey(skeyOf(6), { now: () => time }).sign(text)).rejects.toThrow(
        refused('cosignature'),
      )
    }
  })

  it('do not sign an invalid note text', async () => {
    const signer = signerFromKey(SKEY)
    for (const bad of ['', 'no newline', 'tab\t\n', '\ud800\n']) {
      await expect(signer.sign(bad)).rejects.toThrow(refused('note'))
    }
  })

  it.each([
    ['of low order', new Uint8Array(32), /found a low-order point/],
    ['of order 1', new Uint8Array(32).with(0, 1), /found a low-order point/],
    ['that is not canonical', new Uint8Array(32).fill(255), /found a non-canonical encoding/],
    ['that is not a point', new Uint8Array(32).with(0, 2), /found bytes that encode no point/],
    ['of 31 bytes', new Uint8Array(31).with(0, 3), /expected a public key of 32 bytes, found 31/],
  ])('reject a key %s', (_, publicKey, message) => {
    for (const type of [0x01, 0x04]) {
      const name = 'example.org/log'
      const vkey = { name, type, publicKey, keyId: keyId(name, type, publicKey) }
      for (const given of [vkey, formatVkey(vkey)]) {
        const make = (): unknown => verifierFromVkey(given)
        expect(make).toThrow(refused('vkey'))
        expect(make).toThrow(message)
      }
    }
  })

  it('reject an ML-DSA-44 key of another size', () => {
    const name = 'example.org/log'
    for (const size of [1311, 1313]) {
      const publicKey = new Uint8Array(size).fill(9)
      const vkey = { name, type: 0x06, publicKey, keyId: keyId(name, 0x06, publicKey) }
      expect(() => verifierFromVkey(vkey)).toThrow(`expected a public key of 1312 bytes, found ${size}`)
      expect(() => verifierFromVkey(formatVkey(vkey))).toThrow(refused('vkey'))
    }
  })
})

describe('interoperability', () => {
  it('creates the same ML-DSA-44 cosignature as filippo.io/mldsa', async () => {
    const skey = formatSignerKey({
      name: cosigned.mldsaName,
      type: 6,
      seed: new Uint8Array(Buffer.from(cosigned.mldsaSeed, 'hex')),
    })
    const signer = signerFromKey(skey, { now: () => cosigned.mldsaTime })
    expect(signer.vkey).toBe(cosigned.mldsaVkey)
    const note = parseNote(cosigned.note)
    expect(await signer.sign(note.text)).toBe(cosigned.mldsaLine)
    const opened = openNote(cosigned.note + cosigned.mldsaLine, [verifierFromVkey(cosigned.mldsaVkey)])
    expect(opened.signatures.map((signature) => signature.line)).toEqual([cosigned.mldsaLine])
  })

  it('verifies the Ed25519 cosignatures of torchwood', () => {
    const witnesses = Object.values(cosigned.witnesses).map((vkey) => verifierFromVkey(vkey))
    const { signatures } = openNote(cosigned.note, witnesses)
    expect(signatures.map(({ name }) => name)).toEqual(Object.keys(cosigned.witnesses))
    for (const [i, { signature }] of signatures.entries()) {
      expect(witnesses[i]!.cosignedAt(signature)).toBeGreaterThan(1_795_000_000)
    }
  })

  it('uses native primitives', async () => {
    const used: string[] = []
    const crypto: KeyCrypto = {
      ed25519Verify: (signature, message, key) =>
        used.push('verify') > 0 && verify(null, message, spki(key), signature),
      ed25519Sign: async (message, key) => (used.push('sign'), sign(null, message, pkcs8(key))),
      ed25519PublicKey: (key) => (
        used.push('key'),
        new Uint8Array(createPublicKey(pkcs8(key)).export({ format: 'der', type: 'spki' }).subarray(12))
      ),
    }
    for (const type of [1, 4]) {
      const native = signerFromKey(skeyOf(type), { ...crypto, now })
      const pure = signerFromKey(skeyOf(type), { now })
      expect(native.vkey).toBe(pure.vkey)
      const line = await native.sign(text)
      expect(line).toBe(await pure.sign(text))
      expect(verifierFromVkey(native.vkey, crypto).verify(text, parseSignatureLine(line).signature)).toBe(
        true,
      )
    }
    expect(used).toEqual(['key', 'sign', 'verify', 'key', 'sign', 'verify'])
  })

  it('does not throw when a primitive throws', () => {
    const verifier = verifierFromVkey(signerFromKey(SKEY).vkey, {
      ed25519Verify: () => {
        throw new Error('no')
      },
    })
    expect(verifier.verify('x\n', new Uint8Array(64))).toBe(false)
  })
})

describe('private keys', () => {
  it('format and parse as inverses', () => {
    const key = parseSignerKey(SKEY)
    expect([key.name, key.keyId, key.type, key.seed.length]).toEqual(['PeterNeumann', 0xc74f20a3, 1, 32])
    expect(formatSignerKey(key)).toBe(SKEY)
    for (const type of types) expect(formatSignerKey(parseSignerKey(skeyOf(type)))).toBe(skeyOf(type))
    expect(signerVkey(key).keyId).toBe(key.keyId)
  })

  it('are rejected when truncated or changed, without being quoted', () => {
    for (let i = 0; i < SKEY.length; i++) {
      expectRefusal(SKEY.slice(0, i))
      expectRefusal(SKEY.slice(i + 1))
      expectRefusal(SKEY.slice(0, i) + String.fromCharCode(SKEY.charCodeAt(i) + 1) + SKEY.slice(i + 1))
    }
    expectRefusal(`${SKEY}\n`)
    expectRefusal(SKEY.replace('c74f20a3', 'C74F20A3'))
  })

  it.each([
    { name: 'a b', type: 1, seed },
    { name: '', type: 1, seed },
    { name: 'a', type: 2, seed },
    { name: 'a', type: 1, seed: new Uint8Array(31) },
    { name: 'a', type: 6, seed: new Uint8Array(33) },
  ])('reject %j', (key) => {
    expect(() => formatSignerKey(key)).toThrow(refused('signer-key'))
  })

  it('of another length than 32 are rejected', () => {
    const long = Buffer.concat([Buffer.of(1), seed, Buffer.of(0)]).toString('base64')
    expect(() => parseSignerKey(`PRIVATE+KEY+a+00000000+${long}`)).toThrow(refused('signer-key'))
    const other = Buffer.concat([Buffer.of(5), seed]).toString('base64')
    expect(() => parseSignerKey(`PRIVATE+KEY+a+00000000+${other}`)).toThrow(refused('signer-key'))
  })
})

it('a log cosigns its own empty tree', async () => {
  const empty = formatCheckpointText({ origin: 'example.org/log', size: 0, root: EMPTY_ROOT, extensions: [] })
  const signers = [signerFromKey(skeyOf(1)), signerFromKey(skeyOf(6), { now })]
  const note = await signNote(empty, signers)
  const verifiers = signers.map((signer) => verifierFromVkey(signer.vkey))
  expect(
    openCheckpoint(note, verifiers)
      .signatures.map((s) => s.line)
      .join(''),
  ).toBe(note.slice(empty.length + 1))
  expect(formatSignatureLine('example.org/log', 1, new Uint8Array(1))).toBe('— example.org/log AAAAAQA=\n')
})
