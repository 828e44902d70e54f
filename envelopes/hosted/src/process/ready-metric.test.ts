import { expect, it } from 'vitest'
import type { LedgerStatus } from '@service-fs/ledger/ledger'
import { Registry } from './prom.ts'
import { reasonsIn, watchReady } from './ready-metric.ts'

const READY: LedgerStatus = {
  accepting: true,
  prepared: true,
  indexed: 0,
  size: 0,
  sealed: 0,
  queueEntries: 0,
  queueBytes: 0,
  timesRepeated: 0,
}

it.each<[Partial<LedgerStatus>, string[]]>([
  [{}, []],
  [{ accepting: false, code: 'full' }, ['full']],
  [{ accepting: false, code: 'read-only' }, ['read-only']],
  [{ accepting: false }, ['stopped']],
  [{ clock: 'clock-behind' }, ['clock-behind']],
  [{ prepared: false }, ['preparing']],
])('%j: %j', async (change, reasons) => {
  const registry = new Registry()
  const status = (): LedgerStatus => ({ ...READY, ...change })
  watchReady(registry, { main: { status }, audit: { status: () => READY } })
  const text = await registry.metrics()
  expect(reasonsIn(text)).toEqual(reasons)
  expect(text).toContain('service_fs_ready{ledger="audit",reason="none"} 1')
})
