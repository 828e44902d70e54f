import type { Codec } from '@service-fs/tlog/codec'
import type { Hasher } from '@service-fs/tlog/hash'

/** What a ledger needs of the machine that it runs on. */
export interface Runtime {
  readonly hasher: Hasher
  readonly codec: Codec
  /** The wall clock, in milliseconds since the Unix epoch. */
  now(): number
  /** A clock that never steps, in milliseconds, for durations only. */
  monotonic(): number
  /** Milliseconds since the machine was started, those in which it slept included; where it can be had. May be slow. */
  uptime?(): number
  /** Calls `run` once after `ms` milliseconds; the returned function calls it off. Must not keep the process alive. */
  after(ms: number, run: () => void): () => void
  /** Resolves when what has already arrived from outside has been looked at, so that it joins the next commit. */
  turn(): Promise<void>
}
