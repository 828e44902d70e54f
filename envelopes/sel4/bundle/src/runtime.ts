import type { Runtime } from '@service-fs/ledger/runtime'
import { hostCodec, hostHasher } from './codec.ts'
import type { Host } from './host.ts'
import type { Timers } from './timers.ts'

/** The machine under a ledger: the bundle's host. */
export function hostRuntime(host: Host, timers: Timers): Runtime {
  return {
    hasher: hostHasher(host),
    codec: hostCodec(host),
    now: () => host.now(),
    monotonic: () => host.monotonic(),
    after: (ms, run) => timers.after(ms, run),
    // A tick comes after what has arrived.
    turn: () => new Promise((resolve) => void timers.after(0, resolve)),
  }
}
