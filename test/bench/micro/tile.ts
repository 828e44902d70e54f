// Tiles and bundles, from text to binary and back.

import { nativeCodec } from '@service-fs/native/native'
import {
  bundleToBinary,
  formatBundle,
  formatHashTile,
  hashTileFromBinary,
  hashTileToBinary,
  parseBundle,
  parseHashTile,
} from '@service-fs/tlog/tile-text'
import { bytesOf } from './data.ts'
import { equals } from './expect.ts'
import type { Micro } from './measure.ts'

const WIDTH = 256
const binary = bytesOf(WIDTH * 32)
const hashes = Array.from({ length: WIDTH }, (_, i) =>
  Buffer.from(binary.subarray(i * 32, i * 32 + 32)).toString('base64'),
)
const hashText = hashes.map((hash) => `${hash}\n`).join('')
const entries = Array.from({ length: WIDTH }, (_, i) => bytesOf(300, i + 1))
const lines = entries.map((entry) => Buffer.from(entry).toString('base64'))
const bundleText = lines.map((line) => `${line}\n`).join('')
// c2sp.org/tlog-tiles: each entry after its length as a big-endian uint16.
const bundle = Buffer.concat(
  entries.flatMap((entry) => [Buffer.of(entry.length >> 8, entry.length & 255), entry]),
)

function isBytes(expected: Uint8Array): (result: unknown) => void {
  return (result) => equals(Buffer.from(expected))(Buffer.from(result as Uint8Array))
}

export const micros: Micro[] = [
  {
    name: 'tile: parse text',
    operations: 1,
    run: () => parseHashTile(hashText, WIDTH),
    check: equals(hashes),
  },
  { name: 'tile: format text', operations: 1, run: () => formatHashTile(hashes), check: equals(hashText) },
  {
    name: 'tile: to binary',
    operations: 1,
    run: () => hashTileToBinary(hashes, nativeCodec),
    check: isBytes(binary),
  },
  {
    name: 'tile: from binary',
    operations: 1,
    run: () => hashTileFromBinary(binary, WIDTH, nativeCodec),
    check: equals(hashes),
  },
  {
    name: 'bundle: parse text',
    operations: 1,
    run: () => parseBundle(bundleText, WIDTH),
    check: equals(lines),
  },
  { name: 'bundle: format text', operations: 1, run: () => formatBundle(lines), check: equals(bundleText) },
  {
    name: 'bundle: to binary',
    operations: 1,
    run: () => bundleToBinary(lines, nativeCodec),
    check: isBytes(bundle),
  },
]
