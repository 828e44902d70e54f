// The hash kernel: many leaves and nodes in one call.

import { createHash } from 'node:crypto'
import { nativeKernel } from '@service-fs/native/native'
import { bytesOf } from './data.ts'
import { equals } from './expect.ts'
import type { Micro } from './measure.ts'

const WIDTH = 256
const ENTRY = 300
const entries = bytesOf(WIDTH * ENTRY)
const offsets = Uint32Array.from({ length: WIDTH + 1 }, (_, i) => i * ENTRY)
const pairs = bytesOf(WIDTH * 64)

/** Hashes each piece of `size` bytes after the prefix. */
function hashes(bytes: Uint8Array, size: number, prefix: number): Uint8Array {
  const all = Array.from({ length: bytes.length / size }, (_, i) =>
    createHash('sha256')
      .update(Buffer.of(prefix))
      .update(bytes.subarray(i * size, (i + 1) * size))
      .digest(),
  )
  return new Uint8Array(Buffer.concat(all))
}

function plain(check: (result: unknown) => void): (result: unknown) => void {
  return (result) => check(new Uint8Array(result as Uint8Array))
}

export const micros: Micro[] = [
  {
    name: `leaf hash of ${ENTRY} B, ${WIDTH} at once`,
    operations: WIDTH,
    run: () => nativeKernel.hashLeaves(entries, offsets),
    check: plain(equals(hashes(entries, ENTRY, 0))),
  },
  {
    name: `node hash, ${WIDTH} at once`,
    operations: WIDTH,
    run: () => nativeKernel.hashNodes(pairs),
    check: plain(equals(hashes(pairs, 64, 1))),
  },
]
