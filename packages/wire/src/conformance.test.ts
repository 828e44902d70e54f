import { TestRuntime } from '@service-fs/ledger/testing'
import { nativeCodec, nativeCrypto, nativeHasher } from '@service-fs/native/native'
import { MemoryStorage } from '@service-fs/storage/memory'
import { describe, expect, it } from 'vitest'

import { wireConformance } from './conformance.ts'
import type { WireSubject } from './conformance-tools.ts'
import { openInProcess, testKeys, type InProcess } from './in-process.ts'

const keys = testKeys('example.org/ledger/acme', nativeCrypto)

async function openSubject(tailMode: 'grow' | 'each'): Promise<WireSubject> {
  const runtime = Object.assign(new TestRuntime(), { hasher: nativeHasher, codec: nativeCodec })
  let storages = { main: new MemoryStorage({ tailMode }), audit: new MemoryStorage({ tailMode }) }
  let requests = 0
  const open = (): Promise<InProcess> =>
    openInProcess({
      moduleId: 'acme',
      keys,
      storages,
      runtime,
      requestId: () => `made-${++requests}`,
    })
  let server = await open()
  return {
    request: (...question) => server.request(...question),
    advance: (ms) => runtime.advance(ms),
    async reopen(how) {
      if (how === 'stop') await server.close()
      const [main, audit] = [storages.main.dump(), storages.audit.dump()]
      storages = {
        main: new MemoryStorage({ tailMode, files: main }),
        audit: new MemoryStorage({ tailMode, files: audit }),
      }
      server = await open()
    },
    dispose: () => server.close(),
  }
}

for (const tailMode of ['grow', 'each'] as const) {
  wireConformance({
    name: `handle() over memory, ${tailMode}`,
    test: { describe, it, expect },
    clock: true,
    crypto: nativeCrypto,
    open: () => openSubject(tailMode),
  })
}
