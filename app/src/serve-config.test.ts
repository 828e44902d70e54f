import { resolve } from 'node:path'
import { parseListen } from '@service-fs/http/address'
import { expect, it } from 'vitest'
import { configOf, diskConfigOf, envelopeOf } from './serve-config.ts'

it('serve prefers flags to the environment', () => {
  const env = {
    FS_MODULE_ID: 'acme',
    FS_LEDGER_ROOT: '/srv/ledgers',
    FS_LISTEN: '[::1]:9000',
    FS_ORIGIN: 'example.org/acme',
  }
  expect(configOf({}, env)).toEqual({
    moduleId: 'acme',
    root: '/srv/ledgers',
    listen: { host: '::1', port: 9000 },
    origin: 'example.org/acme',
  })
  expect(configOf({ moduleId: 'b', root: '/x', listen: '127.0.0.1:1', origin: 'o' }, env)).toEqual({
    moduleId: 'b',
    root: '/x',
    listen: { host: '127.0.0.1', port: 1 },
    origin: 'o',
  })
  expect(configOf({ moduleId: 'b', root: '/x' }, {})).toMatchObject({
    listen: { host: '127.0.0.1', port: 8080 },
    origin: undefined,
  })
})

it.each([
  [{ root: '/x' }, '--module-id'],
  [{ moduleId: 'A', root: '/x' }, '--module-id'],
  [{ moduleId: '-a', root: '/x' }, '--module-id'],
  [{ moduleId: '../a', root: '/x' }, '--module-id'],
  [{ moduleId: 'a'.repeat(64), root: '/x' }, '--module-id'],
  [{ moduleId: 'a' }, '--root'],
  [{ moduleId: 'a', root: '/x', origin: 'a b' }, '--origin'],
  [{ moduleId: 'a', root: '/x', origin: 'a+b' }, '--origin'],
  [{ moduleId: 'a', root: '/x', behindFront: true }, '--behind-front'],
  [
    { moduleId: 'a', root: '/x', listen: 'unix:/run/a', behindFront: true, publicReads: true },
    '--public-reads',
  ],
  [{ moduleId: 'a', root: '/x', maxPayloadBytes: '16777217' }, '--max-payload-bytes'],
  [{ moduleId: 'a', root: '/x', maxPayloadBytes: '1k' }, '--max-payload-bytes'],
])('serve rejects %j', (flags, named) => {
  expect(() => configOf(flags, {})).toThrow(named)
})

it('serve makes reads public only if a flag requests it', () => {
  expect(configOf({ moduleId: 'a', root: '/x', publicReads: true }, {}).publicReads).toBe(true)
  expect(configOf({ moduleId: 'a', root: '/x' }, {}).publicReads).toBeUndefined()
  expect(() => diskConfigOf({ moduleId: 'a', disk: '/x', publicReads: true }, {})).toThrow('--public-reads')
})

it('serve reads the fields of searches', () => {
  const base = { moduleId: 'a', root: '/x' }
  expect(configOf(base, {}).searchFields).toBeUndefined()
  const searchField = ['application/json:/customer/id', 'text/x; a="b:c":/d~1e']
  expect(configOf({ ...base, searchField }, {}).searchFields).toEqual([
    { type: 'application/json', pointer: '/customer/id' },
    { type: 'text/x; a="b:c"', pointer: '/d~1e' },
  ])
  for (const bad of [
    'application/json',
    '/a',
    ':/a',
    'application/json:a',
    'application/json:/a~',
    'a/b:/c=d',
  ])
    expect(() => configOf({ ...base, searchField: [bad] }, {}), bad).toThrow(
      /^--search-field: expected .*, found /,
    )
  const many = Array.from({ length: 17 }, (_, i) => `a/b:/${i}`)
  expect(() => configOf({ ...base, searchField: many }, {})).toThrow('--search-field: expected at most 16')
  expect(() => diskConfigOf({ moduleId: 'a', disk: 'd', searchField }, {})).toThrow('--search-field is for')
})

it('serve trusts a front only on a Unix socket', () => {
  const flags = { moduleId: 'a', root: '/x', behindFront: true }
  expect(configOf({ ...flags, listen: 'unix:/run/a' }, {}).behindFront).toBe(true)
  expect(() => configOf({ ...flags, listen: '127.0.0.1:80' }, {})).toThrow('--behind-front')
  expect(configOf({ moduleId: 'a', root: '/x', listen: 'unix:/run/a' }, {}).behindFront).toBeUndefined()
})

it('serve reads the disk from flags, else from the environment', () => {
  const env = { FS_MODULE_ID: 'acme', FS_DISK: '/srv/acme.img', FS_DISK_SIZE: '64M', FS_LEDGER_ROOT: '/srv' }
  expect(diskConfigOf({}, env)).toEqual({
    moduleId: 'acme',
    disk: '/srv/acme.img',
    size: 64 * 2 ** 20,
    listen: { host: '127.0.0.1', port: 8080 },
    origin: undefined,
  })
  expect(diskConfigOf({ moduleId: 'b', disk: '/x.img', diskSize: '1G' }, {})).toMatchObject({
    moduleId: 'b',
    disk: '/x.img',
    size: 2 ** 30,
  })
  expect(diskConfigOf({ moduleId: 'b', disk: '/x.img' }, {}).size).toBeUndefined()
})

it('serve accepts each flag only for its envelope', () => {
  expect([envelopeOf({}, {}), envelopeOf({ envelope: 'b' }, { FS_ENVELOPE: 'a' })]).toEqual(['a', 'b'])
  expect(envelopeOf({}, { FS_ENVELOPE: 'b' })).toBe('b')
  expect(() => envelopeOf({ envelope: 'c' }, {})).toThrow('--envelope')
  expect(() => diskConfigOf({ moduleId: 'a', disk: '/x', root: '/y' }, {})).toThrow('--root is for')
  expect(() => diskConfigOf({ moduleId: 'a' }, {})).toThrow('--disk FILE')
  expect(() => configOf({ moduleId: 'a', disk: '/x', root: '/y' }, {})).toThrow(
    '--disk and --disk-size are for',
  )
  expect(() => configOf({ moduleId: 'a', root: '/y', diskSize: '1M' }, {})).toThrow('--disk and --disk-size')
})

it('serve names the access file by flag or environment', () => {
  const flags = { moduleId: 'a', root: '/x' }
  expect(configOf({ ...flags, access: '/etc/a.json' }, {}).access).toBe('/etc/a.json')
  expect(configOf(flags, { FS_ACCESS: '/etc/a.json' }).access).toBe('/etc/a.json')
  expect(configOf(flags, {}).access).toBeUndefined()
  const behind = { ...flags, behindFront: true, listen: 'unix:/run/a' }
  expect(() => configOf(behind, { FS_ACCESS: '/etc/a.json' })).toThrow('--access')
  // Fail instead of ignoring the requested access control.
  expect(() => diskConfigOf({ moduleId: 'a', disk: '/x' }, { FS_ACCESS: '/etc/a.json' })).toThrow(
    '--access is for',
  )
})

it('serve parses listen addresses', () => {
  expect(parseListen('127.0.0.2:80')).toEqual({ host: '127.0.0.2', port: 80 })
  expect(parseListen('localhost:80')).toEqual({ host: '127.0.0.1', port: 80 })
  expect(parseListen('unix:/run/acme.sock')).toEqual({ path: '/run/acme.sock' })
  expect(parseListen('[2001:db8::1]:80')).toEqual({ host: '2001:db8::1', port: 80 })
  for (const bad of [
    '8080',
    ':8080',
    '127.0.0.1',
    '127.0.0.1:99999',
    '::1:80',
    'unix:',
    '127.0.0.1:http',
    'http://127.0.0.1:80',
  ]) {
    expect(() => parseListen(bad), bad).toThrow('--listen')
  }
})

it('serve reads the attribute mode from --immutable, else from FS_IMMUTABLE', () => {
  const base = { moduleId: 'acme', root: '/x' }
  expect(configOf(base, {}).immutable).toBe(undefined)
  expect(configOf({ ...base, immutable: 'required' }, { FS_IMMUTABLE: 'off' }).immutable).toBe('required')
  expect(configOf(base, { FS_IMMUTABLE: 'auto' }).immutable).toBe('auto')
  expect(() => configOf({ ...base, immutable: 'yes' }, {})).toThrow(
    '--immutable: expected auto, off, required, found yes',
  )
  expect(() => diskConfigOf({ moduleId: 'acme', disk: 'd', immutable: 'auto' }, {})).toThrow(
    '--immutable is for --envelope a',
  )
})

it('serve reads the period and the rate of the background check', () => {
  const base = { moduleId: 'acme', root: '/x' }
  expect(configOf(base, {}).scrub).toBe(undefined)
  expect(configOf({ ...base, scrubDays: '7' }, {}).scrub).toEqual({ periodMs: 604_800_000 })
  expect(configOf({ ...base, scrubRate: '20000000' }, {}).scrub).toEqual({ pace: { bytesPerSecond: 2e7 } })
  for (const days of ['0', '3651', '1.5', 'x', ''])
    expect(() => configOf({ ...base, scrubDays: days }, {}), days).toThrow(
      `--scrub-days: expected an integer from 1 to 3650, found ${days}`,
    )
  for (const rate of ['0', '9999', '5M', '1000000001'])
    expect(() => configOf({ ...base, scrubRate: rate }, {}), rate).toThrow(
      '--scrub-rate: expected an integer',
    )
  expect(() => diskConfigOf({ moduleId: 'acme', disk: 'd', scrubDays: '7' }, {})).toThrow(
    '--scrub-days is for --envelope a',
  )
  expect(() => diskConfigOf({ moduleId: 'acme', disk: 'd', scrubRate: '7' }, {})).toThrow(
    '--scrub-rate is for --envelope a',
  )
})

it('serve reads the signatures of authors that the ledger accepts and requires', () => {
  const base = { moduleId: 'acme', root: 'r' }
  expect(configOf(base, {}).authors).toBe(undefined)
  const anchors = resolve('a.pem')
  expect(configOf({ ...base, authorAnchors: 'a.pem' }, {}).authors).toEqual({ anchors, require: [] })
  const given = { ...base, authorAnchors: 'a.pem', requireSignature: 'application/vnd.Acme.,text,*' }
  expect(configOf(given, {}).authors).toEqual({ anchors, require: ['application/vnd.acme.', 'text', ''] })
  for (const types of ['', 'text/,', 'a b', 'a/b/c', 'text/*'])
    expect(() => configOf({ ...given, requireSignature: types }, {}), types).toThrow(
      '--require-signature: expected starts of media types',
    )
  expect(() => configOf({ ...base, requireSignature: 'text/' }, {})).toThrow(
    '--require-signature: expected --author-anchors too',
  )
  for (const flag of ['authorAnchors', 'requireSignature'])
    expect(() => diskConfigOf({ moduleId: 'acme', disk: 'd', [flag]: 'x' }, {})).toThrow(
      'is for --envelope a',
    )
})
