/** Stands for @noble/hashes in the bundle: what falls back on the portable hash gets the machine's. */
import { exactBuffer } from './codec.ts'
import type { Globals } from './host.ts'

export function sha256(data: Uint8Array): Uint8Array {
  return new Uint8Array((globalThis as unknown as Globals).host.sha256(exactBuffer(data)))
}

/** Nothing in the bundle takes it: signatures are checked by the machine. */
export const sha512: undefined = undefined
