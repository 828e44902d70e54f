import * as fc from 'fast-check'
import { parseTailName, tailName } from '@service-fs/format/tail-text'
import { describe, expect, it } from 'vitest'
import { bundlePath, checkObjectPath, checkReadPath, maxBytes } from './paths.ts'

const refused = expect.objectContaining({ code: 'path' })

describe('checkObjectPath', () => {
  it.each([
    'README.txt',
    'origin',
    'keys/log-1.vkey',
    `keys/${'a'.repeat(16)}.vkey`,
    'tile/0/000.b64',
    'tile/5/030.b64',
    'tile/entries/999.b64',
    'tile/entries/x001/000.b64',
    'tile/0/x035/x184/x372/x088/830.b64',
  ])('takes %s', (path) => {
    expect(() => checkObjectPath(path)).not.toThrow()
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
    expect(() => checkObjectPath(path)).toThrow(refused)
    if (path !== 'checkpoint') expect(() => checkReadPath(path)).toThrow(refused)
  })

  it('takes no string by chance', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('tile', '/', '0', 'x', '.b64', '..', 'keys', 'origin', '\n') }),
        (path) => {
          const isObject = /^(origin|tile\/0\/(x000\/)?000\.b64)$/.test(path) && !path.includes('x000')
          if (isObject) checkObjectPath(path)
          else expect(() => checkObjectPath(path)).toThrow(refused)
        },
      ),
    )
  })

  it('lets the checkpoint be read', () => {
    expect(() => checkReadPath('checkpoint')).not.toThrow()
  })
})

describe('bundlePath', () => {
  it('is a path of the grammar up to 2^53-1 entries', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 45 - 2 }), (index) => checkObjectPath(bundlePath(index))),
    )
    expect(bundlePath(1234067)).toBe('tile/entries/x001/x234/067.b64')
  })
})

describe('maxBytes', () => {
  it('follows the format', () => {
    expect(maxBytes('tile/entries/000.b64')).toBe(22_369_536)
    expect(maxBytes('tile/0/000.b64')).toBe(11_520)
    expect(maxBytes('checkpoint')).toBe(1_048_576)
  })
})

describe('tailName', () => {
  it('is read back', () => {
    fc.assert(fc.property(fc.maxSafeNat(), (start) => parseTailName(tailName(start)) === start))
    expect(tailName(512)).toBe('000000000512')
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
