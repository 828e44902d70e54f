/** The machine under a ledger: Node.js. */
import { uptime } from 'node:os'
import type { Codec } from '@service-fs/tlog/codec'
import type { Hasher } from '@service-fs/tlog/hash'
import type { Kernel } from '@service-fs/tlog/kernel/kernel'
import { nativeCodec, nativeHasher, nativeKernel } from './native.ts'

/** A `Runtime` of @service-fs/ledger. */
export interface NodeRuntime {
  readonly hasher: Hasher
  readonly kernel: Kernel
  readonly codec: Codec
  now(): number
  monotonic(): number
  uptime(): number
  after(ms: number, run: () => void): () => void
  turn(): Promise<void>
}

export const nodeRuntime: NodeRuntime = {
  hasher: nativeHasher,
  kernel: nativeKernel,
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
