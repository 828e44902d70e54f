import type { PsdbPort } from '@service-fs/storage-psdb/port'
import { exactBuffer } from './codec.ts'
import type { Host } from './host.ts'

/** Returns the port to PSDB that the machine's functions provide. */
export function hostPort(host: Host, regionBytes: number): PsdbPort {
  return {
    regionBytes,
    put: (offset, bytes) => host.psdbPut(offset, exactBuffer(bytes)),
    get: (offset, length) => new Uint8Array(host.psdbGet(offset, length)),
    send: (message) => host.psdbSend(exactBuffer(message)),
  }
}
