// Serves a public ledger: node public-server.cjs ROOT MODULE. Prints the URL, and stops on SIGTERM.

import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { startHttp } from '@service-fs/http/http'
import { openLedger } from '@service-fs/ledger/open'
import { nativeCrypto } from '@service-fs/native/native'
import { nodeRuntime } from '@service-fs/native/runtime'
import { openPosixStorage } from '@service-fs/storage-posix/posix'
import { formatSignerKey, signerFromKey, verifierFromVkey } from '@service-fs/tlog'
import { createWire } from '@service-fs/wire'

async function main(root: string, moduleId: string): Promise<void> {
  const origin = `bench.invalid/${moduleId}`
  // Always the same key, so that the server can open the ledger again.
  const key = formatSignerKey({ name: origin, type: 1, seed: new Uint8Array(32).fill(1) })
  const signer = signerFromKey(key, nativeCrypto)
  const verifiers = [verifierFromVkey(signer.vkey, nativeCrypto)]
  const storage = await openPosixStorage(join(root, moduleId))
  const ledger = await openLedger({ storage, origin, signer, verifiers, runtime: nodeRuntime })
  const wire = createWire({
    moduleId,
    ledger,
    codec: nodeRuntime.codec,
    now: () => nodeRuntime.now(),
    after: (ms, run) => nodeRuntime.after(ms, run),
    requestId: () => randomUUID(),
    ready: async () => ({ ready: ledger.status().accepting }),
    version: 'bench',
  })
  const http = await startHttp({ host: '127.0.0.1', port: 0 }, { wire })
  process.once('SIGTERM', () => {
    wire.drain()
    void http
      .stop(5000)
      .then(() => ledger.close())
      .then(() => process.exit(0))
  })
  process.stdout.write(`${http.url}\n`)
}

const [root = '', moduleId = ''] = process.argv.slice(2)
void main(root, moduleId)
