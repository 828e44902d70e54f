import { describe, expect, it } from 'vitest'
import type { StorageCapability } from './capability.ts'
import { storageConformance } from './conformance.ts'
import { FaultyDisk } from './faulty.ts'
import { MemoryStorage } from './memory.ts'

for (const tailMode of ['grow', 'each'] as const) {
  storageConformance({
    name: `MemoryStorage, ${tailMode}`,
    tailMode,
    test: { describe, it, expect },
    async open() {
      const storage = new MemoryStorage({ tailMode })
      let current = storage
      const reopen = async (): Promise<StorageCapability> => {
        await current.close()
        current = new MemoryStorage({ tailMode, files: current.dump() })
        return current
      }
      return { storage, reopen, dispose: () => current.close() }
    },
  })

  storageConformance({
    name: `FaultyDisk, ${tailMode}, losing power when it is reopened`,
    tailMode,
    test: { describe, it, expect },
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

storageConformance({
  name: 'FaultyDisk that protects files, losing power when it is reopened',
  tailMode: 'grow',
  keepsTail: true,
  test: { describe, it, expect },
  async open() {
    let disk = new FaultyDisk({ seed: 1, protects: true })
    const reopen = (): Promise<StorageCapability> => {
      disk = disk.crash()
      return disk.open()
    }
    return { storage: await disk.open(), reopen, dispose: async () => undefined }
  },
})
