// The text and the content of a bundle.

import { entriesOf } from '@service-fs/format/entry'
import { nativeCodec, sha256Hex } from '@service-fs/native/native'
import { formatBundle } from '@service-fs/tlog/tile-text'
import { idOf, payloadOf } from '../micro/data.ts'

/** Records of a full bundle. */
export const WIDTH = 256

/** Returns the entries of a full bundle of records of 200 bytes. */
export function bundleEntries(): Uint8Array[] {
  return Array.from({ length: WIDTH }, (_, i) => {
    const time = `2026-11-22T18:43:${String(i % 60).padStart(2, '0')}.123Z`
    const payload = nativeCodec.utf8Encode(payloadOf(i))
    return entriesOf({ id: idOf(i), type: 'application/json', time, payload }, sha256Hex)[0] as Uint8Array
  }).toSorted((a, b) => Buffer.compare(timeOf(a), timeOf(b)))
}

function timeOf(entry: Uint8Array): Uint8Array {
  const end = Buffer.from(entry).indexOf('\n\n')
  return entry.subarray(end - 24, end)
}

/** Returns the stored text of a bundle. */
export function bundleText(entries: readonly Uint8Array[]): Uint8Array {
  return Buffer.from(formatBundle(entries.map((entry) => nativeCodec.base64Encode(entry))))
}
