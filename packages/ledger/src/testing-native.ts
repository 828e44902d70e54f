/** The helpers of testing.ts over Node.js's own SHA-256 and Ed25519, for tests that open and sign thousands of times. */
import { nativeCodec, nativeCrypto, nativeHasher, nativeKernel } from '@service-fs/native/native'
import type { StorageCapability } from '@service-fs/storage/capability'
import { MemoryStorage } from '@service-fs/storage/memory'
import { verifierFromVkey, type KeyVerifier } from '@service-fs/tlog/keys'
import type { Signer } from '@service-fs/tlog/note'
import type { Ledger } from './ledger.ts'
import type { LedgerOptions } from './options.ts'
import * as pure from './testing.ts'

export { TEST_ORIGIN, textRecord } from './testing.ts'

export class TestRuntime extends pure.TestRuntime {
  override readonly hasher = nativeHasher
  override readonly codec = nativeCodec
  override readonly kernel = nativeKernel
}

export const testSigner: Signer = pure.testSigner(pure.TEST_ORIGIN, 7, nativeCrypto)
export const testVerifier: KeyVerifier = verifierFromVkey(testSigner.vkey, nativeCrypto)

/** Opens the ledger of TEST_ORIGIN for a test; in memory unless a storage is given. */
export function openTestLedger(options: Partial<LedgerOptions> = {}): Promise<Ledger> {
  return pure.openTestLedger({
    runtime: new TestRuntime(),
    signer: testSigner,
    verifiers: [testVerifier],
    ...options,
  })
}

/** Opens an empty storage in memory for a suite. `reopen` keeps the files. */
export function memory(tailMode: 'grow' | 'each'): () => Promise<{
  storage: StorageCapability
  reopen(): Promise<StorageCapability>
  dispose(): Promise<void>
}> {
  return async () => {
    const storage = new MemoryStorage({ tailMode })
    let current = storage
    const reopen = async (): Promise<StorageCapability> => {
      const files = current.dump()
      await current.close()
      current = new MemoryStorage({ tailMode, files })
      return current
    }
    return { storage, reopen, dispose: () => current.close() }
  }
}
