// The steps of an NDJSON page, each without the ones after it.

import { nativeCodec, nativeKernel } from '@service-fs/native/native'
import { bundleFromBinary } from '@service-fs/tlog/tile-text'
import { RecordWriter } from '@service-fs/wire/record-writer'
import { bundleEntries, bundleText, WIDTH } from './bundles.ts'
import { type LimitRow, limitRows, stepMeasures } from './limit.ts'

export const about =
  'Makes NDJSON of one bundle of 256 records of 200 bytes again and again, without HTTP, files and the audit entry. The unit is bytes of NDJSON.'

export function run(rounds: number): Promise<LimitRow[]> {
  const entries = bundleEntries()
  const text = bundleText(entries)
  const page = write(entries)
  const steps = {
    'copy the bytes of the page': () => void page.slice(),
    'write the page from checked entries': () => void write(entries),
    'decode and hash a bundle': () => void nativeKernel.readBinaryBundle(text, WIDTH),
    'decode, hash and write': () =>
      void write(bundleFromBinary(nativeKernel.readBinaryBundle(text, WIDTH).bytes, WIDTH)),
  }
  return limitRows(rounds, stepMeasures(steps, 'MB/CPU s', page.length / 1e6))
}

function write(entries: readonly Uint8Array[]): Uint8Array {
  const writer = new RecordWriter(nativeCodec, 'lines')
  writer.expect(entries, entries.length)
  for (const [i, entry] of entries.entries())
    if (!writer.entry(i, entry)) throw new Error(`entry ${i}: expected the common form, found another`)
  return writer.bytes()
}
