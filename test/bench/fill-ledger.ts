// Fills an empty ledger: node fill-ledger.cjs DIR KEY SIZE. Nothing is synced, so this is faster than appends to a server.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openRecordIndex } from '@service-fs/hosted/tenant/records/record-index'
import { openLedger } from '@service-fs/ledger/open'
import type { NewRecord } from '@service-fs/ledger/record'
import { nativeCrypto } from '@service-fs/native/native'
import { nodeRuntime } from '@service-fs/native/runtime'
import { openPosixStorage } from '@service-fs/storage-posix/posix'
import { signerFromKey, verifierFromVkey } from '@service-fs/tlog'

/** Records of an append. */
const BATCH = 4000
/** Bytes of a payload, the same as in the load generator. */
const PAYLOAD = 200

async function main(dir: string, key: string, size: number): Promise<void> {
  const signer = signerFromKey(readFileSync(key, 'utf8').trimEnd(), nativeCrypto)
  const ledger = await openLedger({
    storage: await openPosixStorage(dir, { sync: false }),
    origin: readFileSync(join(dir, 'origin'), 'utf8').trimEnd(),
    signer,
    verifiers: [verifierFromVkey(signer.vkey, nativeCrypto)],
    runtime: nodeRuntime,
    index: openRecordIndex(join(dir, 'cache', 'records')),
  })
  let appended: Promise<unknown> = Promise.resolve()
  for (let first = ledger.size; first < size; first += BATCH) {
    const records = recordsFrom(first, Math.min(BATCH, size - first))
    await appended
    appended = ledger.append(records)
  }
  await appended
  await ledger.close()
}

function recordsFrom(first: number, count: number): NewRecord[] {
  return Array.from({ length: count }, (_, i) => ({
    id: `fixture-${first + i}`,
    type: 'application/json',
    payload: Buffer.from(payloadOf(first + i), 'latin1'),
  }))
}

const MEMO = 'abcdefghijklmnopqrstuvwxyz'.repeat(8)

/** Returns canonical JSON (RFC 8785) of PAYLOAD bytes. */
function payloadOf(n: number): string {
  const start = `{"account":"DE02-1203-0000-0000-2020-51","amount":${n},"currency":"EUR","memo":"`
  return `${start}${MEMO.slice(0, PAYLOAD - start.length - 2)}"}`
}

const [dir = '', key = '', size = ''] = process.argv.slice(2)
void main(dir, key, Number(size))
