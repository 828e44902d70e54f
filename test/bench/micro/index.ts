// The record index on disk: lookups of identifiers that it has and that it does not have.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openRecordIndex } from '@service-fs/hosted/tenant/records/record-index'
import { idOf } from './data.ts'
import { equals } from './expect.ts'
import type { Micro } from './measure.ts'

const RECORDS = 200_000
const BATCH = 1000
const ROOT = Buffer.alloc(32, 1).toString('base64')

const dir = mkdtempSync(join(tmpdir(), 'service-fs-micro-'))
const index = openRecordIndex(join(dir, 'records'))
for (let first = 0; first < RECORDS; first += BATCH) {
  const records = Array.from({ length: BATCH }, (_, i) => ({ id: idOf(first + i), index: first + i }))
  index.put(records, first + BATCH, ROOT)
}
await index.flush()

/** Closes the index and removes its files. */
export async function close(): Promise<void> {
  await index.close()
  rmSync(dir, { recursive: true, force: true })
}

// A stride that is prime to the number of records visits all of them.
const STRIDE = 7919
let at = 0

function next(): number {
  at = (at + STRIDE) % RECORDS
  return at
}

function isFound(result: unknown): void {
  equals(at)(result)
}

export const micros: Micro[] = [
  { name: 'index: get a record', operations: 1, run: () => index.get(idOf(next())), check: isFound },
  {
    name: 'index: get none',
    operations: 1,
    run: () => index.get(idOf(RECORDS + next())),
    check: equals(undefined),
  },
]
