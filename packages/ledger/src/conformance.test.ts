import { nativeCrypto } from '@service-fs/native/native'
import { describe, expect, it } from 'vitest'
import { ledgerConformance } from './conformance.ts'
import { memory } from './testing-native.ts'

ledgerConformance({
  name: 'memory, grow',
  test: { describe, it, expect },
  crypto: nativeCrypto,
  open: memory('grow'),
})

ledgerConformance({
  name: 'memory, in ECMAScript alone',
  test: { describe, it, expect },
  entries: 2_000,
  limits: { maxPayloadBytes: 1_000_000, queueBytes: 6_000_000, maxBatchRecords: 500 },
  open: memory('grow'),
})
