import { nativeCrypto } from '@service-fs/native/native'
import type { StorageCapability } from '@service-fs/storage/capability'
import { FaultyDisk } from '@service-fs/storage/faulty'
import { MemoryStorage } from '@service-fs/storage/memory'
import { describe, expect, it } from 'vitest'
import { ledgerConformance } from './conformance.ts'

for (const tailMode of ['grow', 'each'] as const) {
  ledgerConformance({
    name: `memory, ${tailMode}`,
    test: { describe, it, expect },
    crypto: nativeCrypto,
    async open() {
      const storage = new MemoryStorage({ tailMode })
      let current = storage
      const reopen = async (): Promise<StorageCapability> => {
        const files = current.dump()
        await current.close()
        current = new MemoryStorage({ tailMode, files })
        return current
      }
      return { storage, reopen, dispose: () => current.close() }
    },
  })

  ledgerConformance({
    name: `a simulated disk, ${tailMode}, that loses power when it is reopened`,
    test: { describe, it, expect },
    entries: 6_000,
    crypto: nativeCrypto,
    async open() {
      let disk = new FaultyDisk({ seed: 1, tailMode })
      const reopen = (): Promise<StorageCapability> => {
        disk = disk.crash()
        return disk.open()
      }
      return { storage: await disk.open(), reopen, dispose: async () => undefined }
    },
  })
}

ledgerConformance({
  name: 'memory, in ECMAScript alone',
  test: { describe, it, expect },
  entries: 2_000,
  limits: { maxPayloadBytes: 1_000_000, queueBytes: 6_000_000, maxBatchRecords: 500 },
  async open() {
    const storage = new MemoryStorage()
    let current = storage
    const reopen = async (): Promise<StorageCapability> => {
      current = new MemoryStorage({ files: current.dump() })
      return current
    }
    return { storage, reopen, dispose: () => current.close() }
  },
})
