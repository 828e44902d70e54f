import { nativeCrypto } from '@service-fs/native/native'
import type { StorageCapability } from '@service-fs/storage/capability'
import { FaultyDisk } from '@service-fs/storage/faulty'
import { describe, expect, it } from 'vitest'
import { ledgerConformance } from './conformance.ts'
import { memory } from './testing-native.ts'

ledgerConformance({
  name: 'memory, each',
  test: { describe, it, expect },
  crypto: nativeCrypto,
  open: memory('each'),
})

for (const tailMode of ['grow', 'each'] as const)
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
