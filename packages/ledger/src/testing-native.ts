/** The helpers of testing.ts over Node.js's own SHA-256 and Ed25519, for tests that open and sign thousands of times. */
import { nativeCodec, nativeCrypto, nativeHasher } from '@service-fs/native/native'
import { verifierFromVkey, type KeyVerifier } from '@service-fs/tlog/keys'
import type { Signer } from '@service-fs/tlog/note'
import type { Ledger } from './ledger.ts'
import type { LedgerOptions } from './options.ts'
import * as pure from './testing.ts'

export { TEST_ORIGIN, textRecord } from './testing.ts'

export class TestRuntime extends pure.TestRuntime {
  override readonly hasher = nativeHasher
  override readonly codec = nativeCodec
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
