import type { Codec } from '@service-fs/tlog/codec'
import type { Hasher } from '@service-fs/tlog/hash'
import type { Kernel } from '@service-fs/tlog/kernel/kernel'

/** The services of the machine that a ledger runs on. */
export interface Runtime {
  /** SHA-256. */
  readonly hasher: Hasher
  /** SHA-256 of whole batches. Default: a plain kernel over the hasher and the codec. */
  readonly kernel?: Kernel | undefined
  /** UTF-8 and base64. */
  readonly codec: Codec
  /** Returns the wall clock's time in milliseconds since the Unix epoch. */
  now(): number
  /** Returns the time of a clock that never steps, in milliseconds from an arbitrary start. */
  monotonic(): number
  /**
   * Returns the milliseconds since the machine started, including sleep. Absent where the system does not report this. May be slow.
   */
  uptime?(): number
  /** Calls `run` once after `ms` milliseconds; the returned function cancels the call. Must not keep the process alive. */
  after(ms: number, run: () => void): () => void
  /** Resolves when input that has already arrived is processed, so that it joins the next commit. */
  turn(): Promise<void>
}
