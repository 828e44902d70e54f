import type { PsdbPort } from '@service-fs/storage-psdb/port'
import { exactBuffer } from './codec.ts'
import type { Host } from './host.ts'

/** Bytes that cross the border at once: enough to make calls rare. The border copies them, and so does exactBuffer(). */
const PIECE_BYTES = 256 * 1024

/** Returns the port to PSDB that the machine's functions provide. */
export function hostPort(host: Host, regionBytes: number): PsdbPort {
  return {
    regionBytes,
    put(offset, bytes) {
      for (let at = 0; at < bytes.length; at += PIECE_BYTES)
        host.psdbPut(offset + at, exactBuffer(bytes.subarray(at, at + PIECE_BYTES)))
    },
    get: (offset, length) => new Uint8Array(host.psdbGet(offset, length)),
    send: (message) => host.psdbSend(exactBuffer(message)),
  }
}
