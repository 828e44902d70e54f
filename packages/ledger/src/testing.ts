/** Helpers that open ledgers in tests: a clock and timers that the test advances, and a fixed key. */
import { MemoryStorage } from '@service-fs/storage/memory'
import type { StorageCapability } from '@service-fs/storage/capability'
import { pureCodec, type Codec } from '@service-fs/tlog/codec'
import { nobleHasher, type Hasher } from '@service-fs/tlog/hash'
import { formatSignerKey, signerFromKey, verifierFromVkey } from '@service-fs/tlog/keys'
import type { Signer } from '@service-fs/tlog/note'
import type { Kernel } from '@service-fs/tlog/kernel/kernel'
import type { KeyCrypto } from '@service-fs/tlog/scheme'
import type { Ledger } from './ledger.ts'
import { openLedger } from './open.ts'
import type { LedgerOptions } from './options.ts'
import type { NewRecord } from './record.ts'
import type { Runtime } from './runtime.ts'

export const TEST_ORIGIN = 'example.org/ledger/test'

/** A runtime whose clock moves only when a test advances it. */
export class TestRuntime implements Runtime {
  readonly hasher: Hasher = nobleHasher
  readonly codec: Codec = pureCodec
  readonly kernel: Kernel | undefined = undefined
  time: number = Date.UTC(2026, 10, 22, 18, 43)
  readonly #timers = new Set<{ at: number; run: () => void }>()

  now(): number {
    return this.time
  }

  monotonic(): number {
    return this.time
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.time + ms, run }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  turn(): Promise<void> {
    return Promise.resolve()
  }

  /** Advances the time by `ms` milliseconds and runs the timers that are due. */
  advance(ms: number): void {
    this.time += ms
    const due = [...this.#timers].filter(({ at }) => at <= this.time)
    for (const timer of due) {
      this.#timers.delete(timer)
      timer.run()
    }
  }
}

/** Returns a signer whose key derives from `seed`, the same each time. */
export function testSigner(origin: string = TEST_ORIGIN, seed: number = 7, crypto: KeyCrypto = {}): Signer {
  const key = { name: origin, type: 1, seed: new Uint8Array(32).fill(seed) }
  return signerFromKey(formatSignerKey(key, crypto), crypto)
}

/** Opens a ledger for a test, in memory by default. */
export function openTestLedger(options: Partial<LedgerOptions> = {}): Promise<Ledger> {
  const origin = options.origin ?? TEST_ORIGIN
  const storage: StorageCapability = options.storage ?? new MemoryStorage()
  const signer = options.signer ?? testSigner(origin)
  const verifiers = [verifierFromVkey(signer.vkey)]
  return openLedger({ runtime: new TestRuntime(), verifiers, ...options, signer, origin, storage })
}

/** Returns a record of plain text. */
export function textRecord(id: string, text: string): NewRecord {
  return { id, type: 'text/plain', payload: pureCodec.utf8Encode(text) }
}
