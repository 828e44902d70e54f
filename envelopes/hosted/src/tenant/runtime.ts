/** The machine under a ledger: Node.js. */
import { uptime } from 'node:os'
import type { Runtime } from '@service-fs/ledger/runtime'
import { nativeCodec, nativeHasher } from '@service-fs/native/native'

export const nodeRuntime: Runtime = {
  hasher: nativeHasher,
  codec: nativeCodec,
  now: () => Date.now(),
  monotonic: () => performance.now(),
  uptime: () => uptime() * 1000,
  after(ms, run) {
    const timer = setTimeout(run, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
  turn: () => new Promise((resolve) => void setImmediate(resolve)),
}
