// Entries: header and payload.

import { entriesOf, parseEntry } from '@service-fs/format/entry'
import { nativeCodec, sha256Hex } from '@service-fs/native/native'
import { idOf, payloadOf } from './data.ts'
import { equals } from './expect.ts'
import type { Micro } from './measure.ts'

const record = {
  id: idOf(1),
  type: 'application/json',
  time: '2026-11-22T18:43:00.123Z',
  payload: Buffer.from(payloadOf(1)),
}
const header = `service-fs/entry/v1\nid: ${record.id}\ntype: ${record.type}\ntime: ${record.time}\n\n`
const entry = Buffer.from(header + payloadOf(1))

export const micros: Micro[] = [
  {
    name: 'entry: encode',
    operations: 1,
    run: () => entriesOf(record, sha256Hex, nativeCodec),
    check: (result) =>
      equals([entry.toString()])((result as Uint8Array[]).map((one) => Buffer.from(one).toString())),
  },
  {
    name: 'entry: decode',
    operations: 1,
    run: () => parseEntry(entry, nativeCodec),
    check: (result) => equals(record.id)((result as { header: { id: string } }).header.id),
  },
]
