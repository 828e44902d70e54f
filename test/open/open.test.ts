// Opening a ledger reads its checkpoint and the end of its tail, independent of its length.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MemoryIndex } from '@service-fs/ledger/record-index'
import { openLedger } from '@service-fs/ledger/open'
import { nodeRuntime } from '@service-fs/native/runtime'
import { nativeCrypto } from '@service-fs/native/native'
import type { StorageCapability } from '@service-fs/storage/capability'
import { formatObjectName } from '@service-fs/storage/object-name'
import { openPosixStorage } from '@service-fs/storage-posix/posix'
import { formatSignerKey, signerFromKey, verifierFromVkey } from '@service-fs/tlog/keys'
import { afterAll, expect, it } from 'vitest'
import { QUICK } from '../support/quick.ts'

const origin = 'example.org/ledger/open'
const signer = signerFromKey(
  formatSignerKey({ name: origin, type: 1, seed: new Uint8Array(32).fill(5) }),
  nativeCrypto,
)
const verifiers = [verifierFromVkey(signer.vkey, nativeCrypto)]
const roots: string[] = []

afterAll(async () => {
  for (const root of roots) await rm(root, { recursive: true, force: true })
})

/** Replaces an index on disk: closing does not empty it. */
class KeptIndex extends MemoryIndex {
  override close(): Promise<void> {
    return Promise.resolve()
  }
}

interface Counts {
  reads: string[]
  bytes: number
}

/** Counts the reads through a storage. */
function counting(storage: StorageCapability, counts: Counts): StorageCapability {
  return {
    tailMode: storage.tailMode,
    async read(name) {
      const bytes = await storage.read(name)
      counts.reads.push(formatObjectName(name))
      counts.bytes += bytes?.length ?? 0
      return bytes
    },
    async *tail() {
      for await (const file of storage.tail()) {
        counts.reads.push('tail')
        counts.bytes += file.bytes.length
        yield file
      }
    },
    seal: (name, bytes) => storage.seal(name, bytes),
    commit: (size, bytes) => storage.commit(size, bytes),
    beginTail: (start, size, bytes) => storage.beginTail(start, size, bytes),
    publish: (checkpoint) => storage.publish(checkpoint),
    close: () => storage.close(),
  }
}

/** A ledger of `size` records of 30 bytes on disk, stopped cleanly. */
async function ledgerOf(size: number, index: MemoryIndex): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'service-fs-open-'))
  roots.push(dir)
  const storage = await openPosixStorage(dir, { sync: false })
  const ledger = await openLedger({ storage, origin, signer, verifiers, runtime: nodeRuntime, index })
  const payload = Buffer.from('thirty bytes that are recorded')
  for (let at = 0; at < size; at += 4000) {
    const count = Math.min(4000, size - at)
    await ledger.append(
      Array.from({ length: count }, (_, i) => ({ id: `record-${at + i}`, type: 'text/plain', payload })),
    )
  }
  await ledger.close()
  return dir
}

/** The reads of an opening until the ledger answers reads, and until it accepts appends, with a current index. */
async function opening(
  size: number,
): Promise<{ size: number; readable: Counts; appendable: Counts; milliseconds: number }> {
  const index = new KeptIndex()
  const dir = await ledgerOf(size, index)
  const counts: Counts = { reads: [], bytes: 0 }
  const started = performance.now()
  const storage = counting(await openPosixStorage(dir), counts)
  const ledger = await openLedger({ storage, origin, signer, verifiers, runtime: nodeRuntime, index })
  const milliseconds = performance.now() - started
  const readable = { reads: [...counts.reads], bytes: counts.bytes }
  await ledger.ready()
  const appendable = { reads: [...counts.reads], bytes: counts.bytes }
  expect(ledger.size).toBe(size)
  await ledger.append([{ id: 'one more', type: 'text/plain', payload: new Uint8Array() }])
  await ledger.close()
  return { size, readable, appendable, milliseconds }
}

/** Each of these lengths is 64 entries past a full bundle. */
const LONG = QUICK ? 100_160 : 1_000_000

it(`opening a ledger reads the same at 1,000 and at ${LONG.toLocaleString('en')} entries`, async () => {
  const short = await opening(1_000)
  const long = await opening(LONG)
  console.log(JSON.stringify({ short, long }))
  expect(short.readable.reads).toEqual(['checkpoint', 'tail', 'origin', 'keys/ed25519.vkey'])
  expect(long.readable.reads).toEqual(short.readable.reads)
  expect(long.appendable.reads).toEqual(short.readable.reads)
  // Equal except for the entries past the last full bundle (232 and 64) and the hashes of the right edge.
  const perEntry = 200
  expect(Math.abs(long.readable.bytes - short.readable.bytes)).toBeLessThan((232 - 64) * perEntry + 20 * 45)
  expect(long.readable.bytes).toBeLessThan(64 * perEntry + 4_000)
})
