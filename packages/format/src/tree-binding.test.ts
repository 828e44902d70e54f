import { pureCodec as codec } from '@service-fs/tlog/codec'
import { formatSignerKey, signerFromKey } from '@service-fs/tlog/keys'
import { describe, expect, it } from 'vitest'
import { parseEntry, type Entry } from './entry.ts'
import {
  bindingIn,
  bindingPayload,
  isTreeAlgorithm,
  misplacedBinding,
  TREE_ALGORITHMS,
  TREE_TYPE,
  treeAlgorithm,
  treeBindingId,
  treeOrigin,
  type TreeBinding,
} from './tree-binding.ts'

const ORIGIN = 'example.org/ledger/acme'
const EMPTY_SHA256 = '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
/** The output of `openssl dgst -sha3-256 -binary </dev/null | base64`. */
const EMPTY_SHA3 = 'p//G+L8e12ZRwUdWoGHWYvWA/03kO0n6gtgKS4D4Q0o='
/** The output of `openssl dgst -sha512 -binary </dev/null | base64`. */
const EMPTY_SHA512 =
  'z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg=='

function vkeyNamed(name: string, type = 1): string {
  return signerFromKey(formatSignerKey({ name, type, seed: new Uint8Array(32).fill(3) }), { now: () => 0 })
    .vkey
}

const reversed = (binding: object): object => Object.fromEntries(Object.entries(binding).reverse())

const BINDING: TreeBinding = {
  algorithm: 'sha3-256',
  origin: `${ORIGIN}/sha3-256`,
  root: EMPTY_SHA3,
  sha256Root: EMPTY_SHA256,
  size: 7,
  vkey: vkeyNamed(`${ORIGIN}/sha3-256`),
}

function entryOf(payload: string, type: string = TREE_TYPE, more = ''): Entry {
  const text = `service-fs/entry/v1\nid: a\ntype: ${type}\ntime: 2026-11-22T18:43:00.123Z\n${more}\n${payload}`
  return parseEntry(codec.utf8Encode(text), codec)
}

function found(payload: unknown): ReturnType<typeof bindingIn> {
  return bindingIn(entryOf(typeof payload === 'string' ? payload : JSON.stringify(payload)), codec)
}

describe('a binding', () => {
  it('a binding is canonical JSON with its members in order', () => {
    const { algorithm, origin, root, sha256Root, size, vkey } = BINDING
    const text = `{"algorithm":"${algorithm}","origin":"${origin}","root":"${root}","sha256Root":"${sha256Root}","size":${size},"vkey":"${vkey}"}`
    expect(codec.utf8Decode(bindingPayload({ vkey, size, root, sha256Root, origin, algorithm }, codec))).toBe(
      text,
    )
    expect(found(text)).toEqual(BINDING)
  })

  it('the root in a binding has the size of the hash', () => {
    const origin = `${ORIGIN}/sha2-512`
    const long: TreeBinding = {
      ...BINDING,
      algorithm: 'sha2-512',
      origin,
      root: EMPTY_SHA512,
      vkey: vkeyNamed(origin),
    }
    expect(found(codec.utf8Decode(bindingPayload(long, codec)))).toEqual(long)
    expect(found({ ...long, root: EMPTY_SHA3 })).toMatchObject({
      field: 'root',
      expected: 'the base64 of 64 bytes',
    })
    expect(found({ ...BINDING, root: EMPTY_SHA512 })).toMatchObject({ field: 'root' })
  })

  it('an entry of another type is not a binding', () => {
    const text = codec.utf8Decode(bindingPayload(BINDING, codec))
    expect(bindingIn(entryOf(text, 'application/json'), codec)).toBeUndefined()
  })

  it.each([
    ['payload', '{'],
    ['payload', '[]'],
    ['payload', 'null'],
    ['algorithm', { ...BINDING, algorithm: 'sha-256' }],
    ['algorithm', { ...BINDING, algorithm: 'toString' }],
    ['origin', { ...BINDING, origin: `${ORIGIN}/blake3` }],
    ['origin', { ...BINDING, origin: 7 }],
    ['root', { ...BINDING, root: EMPTY_SHA3.slice(0, -1) }],
    ['root', { ...BINDING, root: undefined }],
    ['sha256Root', { ...BINDING, sha256Root: EMPTY_SHA512 }],
    ['size', { ...BINDING, size: -1 }],
    ['size', { ...BINDING, size: 1.5 }],
    ['size', { ...BINDING, size: '7' }],
    ['vkey', { ...BINDING, vkey: vkeyNamed(ORIGIN) }],
    ['vkey', { ...BINDING, vkey: vkeyNamed(BINDING.origin, 6) }],
    ['vkey', { ...BINDING, vkey: 'example.org+00000000+AAAA' }],
    // An unknown member, and members in another order or with spaces.
    ['payload', { ...BINDING, reason: 'none' }],
    ['payload', reversed(BINDING)],
    ['payload', JSON.stringify(BINDING, undefined, 1)],
  ])('a binding with a wrong %s is a problem', (field, payload) => {
    expect(found(payload)).toMatchObject({ field })
  })

  it('a binding must fit one entry', () => {
    const text = codec.utf8Decode(bindingPayload(BINDING, codec))
    const entry = { ...entryOf(text), continuation: { part: 2, of: 2 } }
    expect(bindingIn(entry, codec)).toMatchObject({ field: 'parts' })
  })

  it('a binding names the origin of its log, and a size that is at most the index of its entry', () => {
    expect(misplacedBinding(BINDING, { origin: ORIGIN, index: 7 })).toBeUndefined()
    expect(misplacedBinding(BINDING, { origin: ORIGIN, index: 6 })).toMatchObject({ field: 'size' })
    expect(misplacedBinding(BINDING, { origin: 'example.org', index: 7 })).toMatchObject({ field: 'origin' })
  })
})

it('the algorithms of second trees have names, sizes and identifiers', () => {
  expect(TREE_ALGORITHMS.map(({ name, bytes }) => [name, bytes])).toEqual([
    ['sha3-256', 32],
    ['sha2-512', 64],
    ['blake3', 32],
  ])
  expect(isTreeAlgorithm('sha3-256')).toBe(true)
  for (const other of ['sha-256', 'SHA3-256', 'toString', '', undefined])
    expect(isTreeAlgorithm(other)).toBe(false)
  expect(treeAlgorithm('sha2-512').oid).toBe('2.16.840.1.101.3.4.2.3')
  expect(treeOrigin(ORIGIN, 'blake3')).toBe(`${ORIGIN}/blake3`)
  expect(treeBindingId('blake3', 1)).toBe('vnd.service-fs.tree/blake3/1')
})
