import * as fc from 'fast-check'
import { parseTailName, tailName } from '@service-fs/format/tail-text'
import { describe, expect, it } from 'vitest'
import {
  bundlePath,
  formatObjectName,
  isObjectName,
  isSealedName,
  maxBytes,
  parseObjectName,
  parseSealedName,
  tailPath,
  type ObjectName,
} from './object-name.ts'

const refused = expect.objectContaining({ code: 'path' })
const size = fc.maxSafeNat()
/** Tiles of level L have indexes below 2^53 / 256^(L + 1). */
const tile = fc
  .integer({ min: 0, max: 5 })
  .chain((level) =>
    fc
      .integer({ min: 0, max: Math.floor((2 ** 53 - 1) / 256 ** (level + 1)) - 1 })
      .map((index) => ({ kind: 'tile' as const, level, index })),
  )
const anyName: fc.Arbitrary<ObjectName> = fc.oneof(
  fc.constantFrom('readme', 'verifier', 'origin', 'checkpoint').map((kind) => ({ kind })),
  fc.stringMatching(/^[a-z0-9-]{1,16}$/).map((name) => ({ kind: 'vkey' as const, name })),
  tile,
  fc.integer({ min: 0, max: 2 ** 45 - 2 }).map((index) => ({ kind: 'bundle' as const, index })),
  size.map((start) => ({ kind: 'tail' as const, start })),
)

describe('parseSealedName', () => {
  it.each([
    'README.txt',
    'verify.sh',
    'origin',
    'keys/log-1.vkey',
    `keys/${'a'.repeat(16)}.vkey`,
    'tile/0/000.b64',
    'tile/5/030.b64',
    'tile/entries/999.b64',
    'tile/entries/x001/000.b64',
    'tile/0/x035/x184/x372/x088/830.b64',
  ])('takes %s', (path) => {
    expect(formatObjectName(parseSealedName(path))).toBe(path)
  })

  it.each([
    '',
    '/origin',
    'Origin',
    'origin\n',
    'origin\0',
    './origin',
    'keys/.vkey',
    'keys/A.vkey',
    'keys/a.b.vkey',
    'keys/../origin.vkey',
    `keys/${'a'.repeat(17)}.vkey`,
    'keys/a.vkey/',
    'tile/0/000',
    'tile/0/000.B64',
    'tile/0/000.p/1.b64',
    'tile/0/x000/000.b64',
    'tile/0/x000/001.b64',
    'tile/0/1.b64',
    'tile/0/0000.b64',
    'tile/0/x001/x002.b64',
    'tile/00/000.b64',
    'tile/-1/000.b64',
    'tile/data/000.b64',
    'tile/0/001\n.b64',
    'tile/5/031.b64',
    'tile/6/000.b64',
    'tile/63/000.b64',
    'tile/0/x035/x184/x372/x088/831.b64',
    'tile/0/x999/x999/x999/x999/x999/999.b64',
    'tail/000000000000',
    'audit/origin',
    'lock',
    'tmp/1',
    'cache/x',
    'checkpoint',
  ])('refuses %j', (path) => {
    expect(() => parseSealedName(path)).toThrow(refused)
    if (path !== 'checkpoint' && path !== 'tail/000000000000')
      expect(() => parseObjectName(path)).toThrow(refused)
  })

  it('accepts only paths of the format among random strings', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('tile', '/', '0', 'x', '.b64', '..', 'keys', 'origin', '\n') }),
        (path) => {
          const isObject = /^(origin|tile\/0\/(x000\/)?000\.b64)$/.test(path) && !path.includes('x000')
          if (isObject) parseSealedName(path)
          else expect(() => parseSealedName(path)).toThrow(refused)
        },
      ),
    )
  })

  it('rejects the checkpoint and tail files, which parseObjectName accepts', () => {
    expect(parseObjectName('checkpoint')).toEqual({ kind: 'checkpoint' })
    expect(parseObjectName('tail/000000000512')).toEqual({ kind: 'tail', start: 512 })
  })
})

describe('parseObjectName', () => {
  it('is the inverse of formatObjectName', () => {
    fc.assert(
      fc.property(anyName, (name) => {
        expect(isObjectName(name)).toBe(true)
        expect(parseObjectName(formatObjectName(name))).toEqual(name)
      }),
    )
  })
})

describe('formatObjectName', () => {
  it('gives different names different paths', () => {
    fc.assert(
      fc.property(anyName, anyName, (a, b) => {
        const areEqual = JSON.stringify(a) === JSON.stringify(b)
        expect(formatObjectName(a) === formatObjectName(b)).toBe(areEqual)
      }),
    )
  })
})

describe('isSealedName', () => {
  it('is true of objects that are written once', () => {
    fc.assert(
      fc.property(anyName, (name) => isSealedName(name) === !['checkpoint', 'tail'].includes(name.kind)),
    )
  })

  it('is false of names outside the ledger format', () => {
    for (const name of [
      { kind: 'vkey', name: 'A' },
      { kind: 'vkey', name: '../x' },
      { kind: 'tile', level: 6, index: 0 },
      { kind: 'tile', level: 0.5, index: 0 },
      { kind: 'tile', level: 0, index: 2 ** 45 - 1 },
      { kind: 'bundle', index: -1 },
      { kind: 'bundle', index: Number.NaN },
      { kind: 'lock' },
    ] as ObjectName[])
      expect(isSealedName(name), JSON.stringify(name)).toBe(false)
  })
})

describe('bundlePath', () => {
  it('returns a valid path up to 2^53-1 entries', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 45 - 2 }), (index) => {
        expect(parseSealedName(bundlePath(index))).toEqual({ kind: 'bundle', index })
      }),
    )
    expect(bundlePath(1234067)).toBe('tile/entries/x001/x234/067.b64')
  })
})

describe('maxBytes', () => {
  it('returns the limits of the format', () => {
    expect(maxBytes({ kind: 'bundle', index: 0 })).toBe(22_369_536)
    expect(maxBytes({ kind: 'tile', level: 0, index: 0 })).toBe(11_520)
    expect(maxBytes({ kind: 'checkpoint' })).toBe(1_048_576)
  })
})

describe('tailName', () => {
  it('is the inverse of parseTailName', () => {
    fc.assert(fc.property(fc.maxSafeNat(), (start) => parseTailName(tailName(start)) === start))
    expect(tailName(512)).toBe('000000000512')
    expect(tailPath(512)).toBe('tail/000000000512')
    expect(tailName(2 ** 53 - 1)).toBe('9007199254740991')
  })

  it.each([
    '',
    '512',
    '00000000051',
    '0000000000512',
    '9007199254740992',
    '00000000051x',
    '000000000512\n',
    '.000000000512',
  ])('is not %j', (name) => {
    expect(parseTailName(name)).toBe(undefined)
  })
})
