// Base64 of an entry.

import { nativeCodec } from '@service-fs/native/native'
import { pureCodec } from '@service-fs/tlog/codec'
import { bytesOf } from './data.ts'
import { equals } from './expect.ts'
import type { Micro } from './measure.ts'

const bytes = bytesOf(300)
const text = Buffer.from(bytes).toString('base64')

export const micros: Micro[] = [
  { codec: nativeCodec, name: 'native' },
  { codec: pureCodec, name: 'pure' },
].flatMap(({ codec, name }): Micro[] => [
  {
    name: `base64: encode 300 B, ${name}`,
    operations: 1,
    run: () => codec.base64Encode(bytes),
    check: equals(text),
  },
  {
    name: `base64: decode 300 B, ${name}`,
    operations: 1,
    run: () => codec.base64Decode(text),
    check: (result) => equals(text)(Buffer.from(result as Uint8Array).toString('base64')),
  },
])
