/** The exports of `native.ts`, in ECMAScript alone. package.json gives it to bundlers for browsers in the place of `native.ts`. */
import { sha256 } from '@noble/hashes/sha2.js'
import { hexEncode, pureCodec, type Codec } from '@service-fs/tlog/codec'
import { nobleHasher, type Hasher } from '@service-fs/tlog/hash'
import type { Kernel } from '@service-fs/tlog/kernel/kernel'
import { wasmKernel } from '@service-fs/tlog/kernel/wasm'
import type { KeyCrypto } from '@service-fs/tlog/scheme'

export { equalBytes } from '@service-fs/tlog/codec'

export const nativeHasher: Hasher = nobleHasher
export const nativeCodec: Codec = pureCodec
/** Hashes in WebAssembly where the browser allows it. */
export const nativeKernel: Kernel = wasmKernel()
/** Ed25519 and ML-DSA-44 by the defaults of @service-fs/tlog. */
export const nativeCrypto: KeyCrypto = {}

/** Returns the SHA-256 of `data` as 64 lower-case hex digits. */
export function sha256Hex(data: Uint8Array): string {
  return hexEncode(sha256(data))
}

/** Starts a SHA-256 over data in pieces; `hex()` returns it and ends the stream. */
export function sha256Stream(): { update(data: Uint8Array): void; hex(): string } {
  const state = sha256.create()
  return { update: (data) => void state.update(data), hex: () => hexEncode(state.digest()) }
}
