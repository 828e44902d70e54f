// The steps of verifying a bundle, each without the ones after it.

import { BundleCheck } from '@service-fs/client/bundle-check'
import { nativeHasher, nativeKernel } from '@service-fs/native/native'
import { formatHashTile } from '@service-fs/tlog/tile-text'
import { bundleEntries, bundleText, WIDTH } from './bundles.ts'
import { type LimitRow, limitRows, stepMeasures } from './limit.ts'

export const about =
  'Verifies one bundle of 256 records of 200 bytes again and again on one thread, without files, threads and the set of identifiers; the first rows only hash its leaves.'

export function run(rounds: number): Promise<LimitRow[]> {
  const entries = bundleEntries()
  const text = bundleText(entries)
  const { bytes, offsets } = nativeKernel.readBundle(text, WIDTH)
  const hashes = Buffer.from(formatHashTile(entries.map((entry) => nativeHasher.leaf(entry))))
  const check = new BundleCheck([1, 2])
  const ids = new Uint32Array(2 * WIDTH)
  if (check.text(text, hashes, ids) === undefined) throw new Error('expected a valid bundle, found none')
  const steps = {
    'leaves by node:crypto': () => entries.forEach((entry) => nativeHasher.leaf(entry)),
    'leaves by the kernel': () => void nativeKernel.hashLeaves(bytes, offsets),
    'base64 and leaves': () => void nativeKernel.readBundle(text, WIDTH),
    'base64, leaves, root, hash lines': () => {
      const { leaves } = nativeKernel.readBundle(text, WIDTH)
      nativeKernel.rootOf(leaves)
      nativeKernel.hashLines(leaves)
    },
    'the whole check, with headers, times and fingerprints': () => void check.text(text, hashes, ids),
  }
  return limitRows(rounds, stepMeasures(steps, 'entries/CPU s', WIDTH))
}
