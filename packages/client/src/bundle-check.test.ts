import { randomBytes } from 'node:crypto'
import { entriesOf } from '@service-fs/format/entry'
import { nativeCodec, nativeHasher, sha256Hex } from '@service-fs/native/native'
import { subtreeRoot } from '@service-fs/tlog/proof'
import { formatBundle, formatHashTile } from '@service-fs/tlog/tile-text'
import { expect, it } from 'vitest'
import { BundleCheck } from './bundle-check.ts'
import { testRecords } from './testing.ts'

const records = testRecords(256).flatMap((content) => entriesOf(content, sha256Hex))

function texts(entries: readonly Uint8Array[]): { bundle: Buffer; hashes: Buffer; root: string } {
  const leaves = entries.map((entry) => nativeHasher.leaf(entry))
  return {
    bundle: Buffer.from(formatBundle(entries.map((entry) => nativeCodec.base64Encode(entry)))),
    hashes: Buffer.from(formatHashTile(leaves)),
    root: subtreeRoot(leaves, nativeHasher),
  }
}

const check = new BundleCheck([3, 4])

it('the result has the root hash, the times and different fingerprints', () => {
  const { bundle, hashes, root } = texts(records)
  const found = check.text(bundle, hashes)
  expect(found?.root).toBe(root)
  expect(found?.parts).toEqual([
    { first: 0, count: 256, from: '2026-11-22T00:00:00.000Z', to: '2026-11-22T00:04:15.000Z' },
  ])
  const ids = Array.from({ length: 256 }, (_, i) => `${found?.ids[2 * i]}/${found?.ids[2 * i + 1]}`)
  expect(new Set(ids).size).toBe(256)
})

it('the bundle check returns entries that are not whole records, and entries whose time goes back', () => {
  const entries = [...records]
  const other = Buffer.from('not an entry')
  entries[3] = other
  entries[10] = records[0] as Uint8Array
  entries[255] = new Uint8Array()
  const { bundle, hashes, root } = texts(entries)
  const found = check.text(bundle, hashes)
  expect(found?.root).toBe(root)
  expect(found?.parts).toMatchObject([
    { first: 0, count: 3 },
    { first: 3 },
    { first: 4, count: 6 },
    { first: 10 },
    { first: 11, count: 244 },
    { first: 255 },
  ])
  expect(found?.parts.map((part) => ('bytes' in part ? Buffer.from(part.bytes) : undefined))).toEqual([
    undefined,
    other,
    undefined,
    Buffer.from(records[0] as Uint8Array),
    undefined,
    Buffer.alloc(0),
  ])
})

it('the bundle check accepts entries of every length', () => {
  for (const least of [0, 250, 65_279 + 1]) {
    const { bundle, hashes, root } = texts(Array.from({ length: 256 }, (_, i) => randomBytes(least + i)))
    expect(check.text(bundle, hashes)?.root).toBe(root)
  }
})

it('the bundle check rejects a bundle or a hash tile with any changed, missing or additional byte', () => {
  const { bundle, hashes } = texts(records)
  for (const [name, text] of [
    ['bundle', bundle],
    ['hashes', hashes],
  ] as const) {
    const rejects = (changed: Uint8Array, what: string): void => {
      const found = name === 'bundle' ? check.text(changed, hashes) : check.text(bundle, changed)
      if (found !== undefined) expect(`${name}: ${what}`).toBe('rejected')
    }
    const step = name === 'bundle' ? 97 : 23
    for (let at = 0; at < text.length; at += step) {
      for (const mask of [1, 4, 32, 128]) {
        const changed = Buffer.from(text)
        changed[at]! ^= mask
        rejects(changed, `byte ${at}, mask ${mask}`)
      }
    }
    rejects(text.subarray(0, -1), 'without the last newline')
    rejects(text.subarray(1), 'without the first byte')
    rejects(Buffer.concat([text, Buffer.from('\n')]), 'with an extra line')
    rejects(Buffer.concat([text, Buffer.from('A')]), 'with an extra character')
    rejects(new Uint8Array(), 'empty')
  }
})

it('the bundle check rejects base64 that decodes to the right bytes but is not canonical', () => {
  const { bundle, hashes } = texts(records)
  const lines = bundle.toString('latin1').slice(0, -1).split('\n')
  const at = lines.findIndex((line) => line.endsWith('='))
  const line = lines[at] as string
  const last = line.replace(/.(?==)/, (char) => String.fromCharCode(char.charCodeAt(0) + 1))
  for (const changed of [
    last,
    line.slice(0, -1),
    line + '=',
    line + 'AAAA',
    ` ${line}`,
    `${line}\r`,
    line.replaceAll('=', '-'),
  ]) {
    expect(Buffer.from(changed, 'base64')).toBeDefined()
    const text = Buffer.from(lines.with(at, changed).join('\n') + '\n', 'latin1')
    expect(check.text(text, hashes), changed).toBeUndefined()
  }
})
