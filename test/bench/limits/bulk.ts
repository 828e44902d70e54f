// The steps of a bulk append except those of the ledger: reading files, making and reading bodies, and checking receipts.

import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { framedBody, jsonBody, type NewRecord } from '@service-fs/client/append-body'
import { checkReceipt, type AppendedRecord } from '@service-fs/client/receipt'
import { entriesOf } from '@service-fs/format/entry'
import { nativeCodec, nativeHasher, sha256Hex } from '@service-fs/native/native'
import { framedRecords } from '@service-fs/wire/framed-batch'
import { ndjsonRecords } from '@service-fs/wire/json-records'
import { DEFAULT_LIMITS } from '@service-fs/wire/limits'
import { type LimitRow, limitRows } from './limit.ts'

export const about =
  'Makes and reads the bodies of batches of 1,000 records of 200 bytes, checks their receipts, and reads files of 200 bytes, without a ledger, a disk or a network. The figures are CPU times.'

const RECORDS = 1000
const FILES = 2000
const MS = 300
const TIME = '2026-11-22T00:00:00.000Z'
const reading = { limits: DEFAULT_LIMITS, codec: nativeCodec, scansBytes: true }

export async function run(rounds: number): Promise<LimitRow[]> {
  const dir = mkdtempSync(join(tmpdir(), 'service-fs-limit-'))
  try {
    const measures = stepsIn(dir).map((step) => ({
      name: step.name,
      unit: 'µs a record',
      measure: () => microsecondsOf(step),
    }))
    return await limitRows(rounds, measures)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

interface Step {
  name: string
  /** Records that one call works on. */
  records: number
  work: () => void
}

function stepsIn(dir: string): Step[] {
  const records = Array.from({ length: RECORDS }, (_, i): NewRecord => {
    const payload = Buffer.from(JSON.stringify({ amount: i, memo: 'x'.repeat(180) }))
    return { id: `record/${i}`, type: 'application/json', payload }
  })
  const framed = framedBody(records).body as Uint8Array
  const base64 = Buffer.from(jsonBody(records).body)
  const plain = Buffer.from(
    records.map(({ id, payload }) => `{"payload_id":"${id}","payload":${String(payload)}}\n`).join(''),
  )
  const receipts = records.map(receiptOf)
  const paths = Array.from({ length: FILES }, (_, i) => join(dir, `${i}`))
  for (const path of paths) writeFileSync(path, Buffer.alloc(200, 'x'))
  const batch = (name: string, work: () => void): Step => ({ name, records: RECORDS, work })
  return [
    batch('make a framed body', () => framedBody(records)),
    batch('make NDJSON with base64', () => jsonBody(records)),
    batch('read a framed body', () => framedRecords(framed, DEFAULT_LIMITS, nativeCodec)),
    batch('read NDJSON with base64', () => ndjsonRecords(base64, reading)),
    batch('read NDJSON with canonical JSON', () => ndjsonRecords(plain, reading)),
    batch('check receipts', () =>
      receipts.forEach((receipt, i) => checkReceipt(receipt, records[i] as NewRecord)),
    ),
    { name: 'read files, one after the other', records: FILES, work: () => paths.forEach(readFile) },
  ]
}

function receiptOf(record: NewRecord, index: number): AppendedRecord {
  const [entry] = entriesOf({ ...record, time: TIME }, sha256Hex, nativeCodec)
  const leafHash = nativeHasher.leaf(entry as Uint8Array)
  return { id: record.id, cursor: index + 1, index, parts: 1, leafHash, time: TIME, duplicate: false }
}

const buffer = Buffer.alloc(4096)

/** Reads a file with the system calls that a consistent read takes. */
function readFile(path: string): void {
  const fd = openSync(path, 'r')
  fstatSync(fd, { bigint: true })
  readSync(fd, buffer, 0, buffer.length, 0)
  fstatSync(fd, { bigint: true })
  closeSync(fd)
}

/** Returns the microseconds of CPU time that a step takes for a record. */
function microsecondsOf({ work, records }: Step): number {
  const end = performance.now() + MS
  const before = process.cpuUsage()
  let done = 0
  do {
    work()
    done += records
  } while (performance.now() < end)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / done
}
