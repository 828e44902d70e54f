// SHA-256 of long messages, where only the processor's speed matters, and of entries, where the cost of each call matters.

import { hash } from 'node:crypto'
import { nativeHasher, nativeKernel } from '@service-fs/native/native'
import { bytesOf } from '../micro/data.ts'
import { type LimitRow, limitRows, stepMeasures } from './limit.ts'

export const about =
  'Hashes the same bytes again and again on one thread: by node:crypto, which uses the SHA instructions of the processor if it has them, and by the WebAssembly kernel, which has no such instructions and hashes four messages at once.'

const WIDTH = 256
const LENGTHS = [64, 300, 1024, 4096, 65_535]
const LONG = 2 ** 20

export async function run(rounds: number): Promise<LimitRow[]> {
  const long = bytesOf(LONG)
  const rows = await limitRows(
    rounds,
    stepMeasures({ 'node:crypto, 1 MiB a call': () => void hash('sha256', long) }, 'MB/CPU s', LONG / 1e6),
  )
  for (const length of LENGTHS) rows.push(...(await leavesOf(length, rounds)))
  return rows
}

/** Hashes the leaves of a bundle with entries of this length. */
function leavesOf(length: number, rounds: number): Promise<LimitRow[]> {
  const bytes = bytesOf(WIDTH * length)
  const offsets = Uint32Array.from({ length: WIDTH + 1 }, (_, i) => i * length)
  const entries = Array.from({ length: WIDTH }, (_, i) => bytes.subarray(i * length, (i + 1) * length))
  const steps = {
    [`node:crypto, entries of ${length} B`]: () => entries.forEach((entry) => nativeHasher.leaf(entry)),
    [`the kernel, entries of ${length} B`]: () => void nativeKernel.hashLeaves(bytes, offsets),
  }
  return limitRows(rounds, stepMeasures(steps, 'MB/CPU s', (WIDTH * length) / 1e6))
}
