// The least work for a batch: scan the JSON, make the entries, their base64 lines and their hashes.

import { packEntries } from '@service-fs/format/pack-entries'
import { nativeCodec, nativeKernel, sha256Hex } from '@service-fs/native/native'
import { Edge } from '@service-fs/tlog/edge'
import type { SentRecord } from '@service-fs/wire/authors'
import { DEFAULT_LIMITS } from '@service-fs/wire/limits'
import { ndjsonRecords } from '@service-fs/wire/json-records'
import { once } from 'node:events'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { idOf, payloadOf } from '../micro/data.ts'
import { type LimitRow, limitRows, stepMeasures } from './limit.ts'

export const about =
  'Scans NDJSON batches of 1,000 records of 200 bytes and makes their entries, base64 lines and hashes, without HTTP, identifiers, commits, files and answers.'

const RECORDS = 1000
const MS = 700
const TIME = '2026-11-22T18:43:00.123Z'
const READING = { limits: DEFAULT_LIMITS, codec: nativeCodec, scansBytes: true }

function scan(body: Uint8Array): SentRecord[] {
  return ndjsonRecords(body, READING)
}

function entries(records: readonly SentRecord[]): ReturnType<typeof packEntries> {
  return packEntries(records, TIME, sha256Hex, nativeCodec)
}

function extend(body: Uint8Array): void {
  nativeKernel.extend(new Edge(), [entries(scan(body))])
}

export async function run(rounds: number): Promise<LimitRow[]> {
  const lines = batchBody()
  // Each step also does the work of the step before.
  const steps = {
    'scan, one thread': () => void scan(lines),
    'scan, entries, one thread': () => void entries(scan(lines)),
    'scan, entries, lines and hashes, one thread': () => extend(lines),
  }
  return limitRows(rounds, [
    ...stepMeasures(steps, 'records/CPU s', RECORDS),
    {
      name: 'scan, entries, lines and hashes, two threads',
      unit: 'records/s',
      measure: () => inWorkers(2),
    },
  ])
}

function batchBody(): Uint8Array {
  return Buffer.from(Array.from({ length: RECORDS }, (_, i) => lineOf(i)).join(''))
}

function lineOf(n: number): string {
  return `{"payload_id":"${idOf(n)}","payload":${payloadOf(n)}}\n`
}

/** Returns the records per second that this many threads process, each with its own bodies. */
async function inWorkers(threads: number): Promise<number> {
  const workers = Array.from({ length: threads }, () => new Worker(new URL(import.meta.url)))
  const rates = await Promise.all(workers.map(async (worker) => Number((await once(worker, 'message'))[0])))
  await Promise.all(workers.map((worker) => worker.terminate()))
  return rates.reduce((sum, rate) => sum + rate)
}

/** Runs in a worker: warms up, then sends the records per second that it processes. */
function work(port: NonNullable<typeof parentPort>): void {
  const lines = batchBody()
  let records = 0
  let start = performance.now()
  for (let until = start + MS; performance.now() < until;) extend(lines)
  start = performance.now()
  for (; performance.now() < start + MS; records += RECORDS) extend(lines)
  port.postMessage((records / (performance.now() - start)) * 1000)
}

if (!isMainThread && parentPort !== null) work(parentPort)
