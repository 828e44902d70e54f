/** Replaces @noble/hashes in the bundle: code that falls back on the portable hash uses the machine's. */
import { exactBuffer } from './codec.ts'
import type { Globals } from './host.ts'

export function sha256(data: Uint8Array): Uint8Array {
  return new Uint8Array((globalThis as unknown as Globals).host.sha256(exactBuffer(data)))
}

/** Unused in the bundle: the machine verifies signatures. */
export const sha512: undefined = undefined
