import type { Runtime } from '@service-fs/ledger/runtime'
import { hostCodec, hostHasher } from './codec.ts'
import type { Host } from './host.ts'
import type { Timers } from './timers.ts'

/** Returns the runtime of a ledger over the machine's functions. */
export function hostRuntime(host: Host, timers: Timers): Runtime {
  return {
    hasher: hostHasher(host),
    codec: hostCodec(host),
    now: () => host.now(),
    monotonic: () => host.monotonic(),
    after: (ms, run) => timers.after(ms, run),
    // The machine calls tick() after events that have already arrived.
    turn: () => new Promise((resolve) => void timers.after(0, resolve)),
  }
}
