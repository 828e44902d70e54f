import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bytesHash } from './hash.ts'
import {
  bundleFromBinary,
  bundleToBinary,
  formatBundle,
  formatHashTile,
  hashTileFromBinary,
  hashTileToBinary,
  parseBundle,
  parseHashTile,
} from './tile-text.ts'

const rawHashes = fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }), { minLength: 1, maxLength: 256 })
const entries = fc.array(fc.uint8Array({ maxLength: 100 }), { minLength: 1, maxLength: 256 })
const base64 = (data: Uint8Array): string => Buffer.from(data).toString('base64')
const tileError = expect.objectContaining({ name: 'TlogError', code: 'tile' })

describe('hash tiles', () => {
  it('convert between text and binary', () => {
    fc.assert(
      fc.property(rawHashes, (raw) => {
        const hashes = raw.map(bytesHash)
        const text = formatHashTile(hashes)
        expect(text).toBe(raw.map((data) => `${base64(data)}\n`).join(''))
        expect(parseHashTile(text, raw.length)).toEqual(hashes)
        const binary = hashTileToBinary(hashes)
        expect(Buffer.from(binary).equals(Buffer.concat(raw))).toBe(true)
        expect(hashTileFromBinary(binary, raw.length)).toEqual(hashes)
      }),
      { numRuns: 30 },
    )
  })

  const hash = bytesHash(new Uint8Array(32).fill(1))
  const line = `${hash}\n`
  it.each<[string, string, number]>([
    ['nothing', '', 1],
    ['too few lines', line, 2],
    ['too many lines', line + line, 1],
    ['no newline at the end', `${line}${hash} `, 2],
    ['a carriage return', `${hash}\r${line.slice(0, -1)}\n`, 2],
    ['an empty line', `\n${line.slice(1)}`, 1],
    ['bits after the padding', line.replace('E=', 'F='), 1],
    ['the URL alphabet', line.replace('A', '-'), 1],
    ['a line split elsewhere', `${line.slice(0, 40)}\n${line.slice(0, 48)}\n`.padEnd(89, 'A') + '\n', 2],
    ['width 0', '', 0],
    ['width 257', line.repeat(257), 257],
  ])('reject %s', (_name, text, width) => {
    expect(() => parseHashTile(text, width)).toThrow(tileError)
  })

  it('reject binary of another length', () => {
    for (const length of [0, 31, 33, 64])
      expect(() => hashTileFromBinary(new Uint8Array(length), 1)).toThrow(tileError)
    expect(() => hashTileToBinary(['AAAA'])).toThrow(tileError)
    expect(() => hashTileToBinary([])).toThrow(tileError)
    expect(() => formatHashTile([])).toThrow(tileError)
    expect(() => formatHashTile(Array.from({ length: 257 }, () => hash))).toThrow(tileError)
  })
})

describe('entry bundles', () => {
  it('convert between text and binary', () => {
    fc.assert(
      fc.property(entries, (raw) => {
        const lines = raw.map(base64)
        const text = formatBundle(lines)
        expect(parseBundle(text, raw.length)).toEqual(lines)
        const binary = bundleToBinary(lines)
        const expected = raw.flatMap((data) => [Buffer.from([data.length >> 8, data.length & 255]), data])
        expect(Buffer.from(binary).equals(Buffer.concat(expected))).toBe(true)
        expect(bundleFromBinary(binary, raw.length)).toEqual(raw)
      }),
      { numRuns: 30 },
    )
  })

  it('can contain entries of 0 and of 65,535 bytes', () => {
    const lines = ['', base64(new Uint8Array(65_535).fill(255))]
    expect(parseBundle(formatBundle(lines), 2)).toEqual(lines)
    const binary = bundleToBinary(lines)
    expect(binary.length).toBe(2 + 2 + 65_535)
    expect(bundleFromBinary(binary, 2).map((entry) => entry.length)).toEqual([0, 65_535])
  })

  it.each<[string, string, number]>([
    ['nothing', '', 1],
    ['too few lines', 'AAAA\n', 2],
    ['too many lines', 'AAAA\nAAAA\n', 1],
    ['no newline at the end', 'AAAA', 1],
    ['missing padding', 'AA\n', 1],
    ['bits after the padding', 'AB==\n', 1],
    ['a carriage return', 'AAAA\r\n', 1],
    ['an entry of 65,536 bytes', `${base64(new Uint8Array(65_536))}\n`, 1],
    ['width 257', 'AAAA\n'.repeat(257), 257],
  ])('reject %s', (_name, text, width) => {
    expect(() => parseBundle(text, width)).toThrow(tileError)
  })

  it.each<[string, number[], number]>([
    ['nothing', [], 1],
    ['half a length', [0], 1],
    ['a cut entry', [0, 2, 65], 1],
    ['too few entries', [0, 1, 65], 2],
    ['too many entries', [0, 1, 65, 0, 0], 1],
    ['width 0', [], 0],
  ])('reject binary with %s', (_name, data, width) => {
    expect(() => bundleFromBinary(new Uint8Array(data), width)).toThrow(tileError)
  })

  it('reject an invalid line in the conversion to binary', () => {
    expect(() => bundleToBinary(['AB=='])).toThrow(tileError)
    expect(() => bundleToBinary([])).toThrow(tileError)
  })
})
