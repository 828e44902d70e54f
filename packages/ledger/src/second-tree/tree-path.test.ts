import { describe, expect, it } from 'vitest'
import { formatTreePath, parseTreePath, splitTreePath } from './tree-path.ts'

describe('parseTreePath', () => {
  it.each([
    ['sha3-256/origin', { algorithm: 'sha3-256', name: { kind: 'origin' } }],
    ['blake3/keys/ed25519.vkey', { algorithm: 'blake3', name: { kind: 'vkey', name: 'ed25519' } }],
    ['sha2-512/tile/0/000.b64', { algorithm: 'sha2-512', name: { kind: 'tile', level: 0, index: 0 } }],
    [
      'sha3-256/tile/1/x001/234.b64',
      { algorithm: 'sha3-256', name: { kind: 'tile', level: 1, index: 1234 } },
    ],
  ])('parses %s, and formatTreePath returns the same path', (path, file) => {
    expect(parseTreePath(path)).toEqual(file)
    expect(formatTreePath(parseTreePath(path))).toBe(path)
  })

  it.each([
    '',
    'sha3-256',
    'sha3-256/',
    'origin',
    'tile/0/000.b64',
    'sha2-256/tile/0/000.b64',
    'sha3-256/tile/entries/000.b64',
    'sha3-256/README.txt',
    'sha3-256/verify.sh',
    'sha3-256/keys/other.vkey',
    'sha3-256/checkpoint',
    'sha3-256/tail/000000000000',
    'sha3-256/left-out.txt',
    'sha3-256/tile/0/000.b64.p/5',
    'sha3-256//tile/0/000.b64',
    'sha3-256/../tile/0/000.b64',
    'sha3-256/sha3-256/tile/0/000.b64',
    '/sha3-256/tile/0/000.b64',
  ])('refuses %j', (path) => {
    expect(() => parseTreePath(path)).toThrow(expect.objectContaining({ code: 'path' }))
  })
})

describe('splitTreePath', () => {
  it('returns undefined for the paths of the log itself', () => {
    expect(splitTreePath('tile/0/000.b64')).toBeUndefined()
    expect(splitTreePath('sha3-256')).toBeUndefined()
  })

  it('splits any path in the folder of a tree', () => {
    expect(splitTreePath('blake3/checkpoint')).toEqual({ algorithm: 'blake3', rest: 'checkpoint' })
  })
})
