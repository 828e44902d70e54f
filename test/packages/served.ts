// Serves the ledger that the examples use.

import { randomUUID } from 'node:crypto'
import fastify from 'fastify'
import { serviceFs } from '@service-fs/fastify'
import { nativeCrypto } from '@service-fs/native/native'
import { nodeRuntime } from '@service-fs/native/runtime'
import { MemoryStorage } from '@service-fs/storage/memory'
import { openInProcess, testKeys } from '@service-fs/wire/in-process'

export interface Served {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string
  close(): Promise<void>
}

/** Serves an empty ledger of the tenant `demo`, as `npm start` does. */
export async function serveDemo(): Promise<Served> {
  const server = await openInProcess({
    moduleId: 'demo',
    keys: testKeys('example.org/ledger/demo', nativeCrypto),
    storages: { main: new MemoryStorage(), audit: new MemoryStorage() },
    runtime: nodeRuntime,
    requestId: randomUUID,
  })
  const app = fastify({ forceCloseConnections: true })
  await app.register(serviceFs, { wire: server.wire })
  return {
    url: await app.listen({ host: '127.0.0.1', port: 0 }),
    async close() {
      await app.close()
      await server.close()
    },
  }
}
