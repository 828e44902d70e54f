// The steps of an append of one record, each without the others, and several of them together.

import { closeSync, mkdtempSync, openSync, rmSync, writeSync, fdatasync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { packEntries, type PackedRecords } from '@service-fs/format/pack-entries'
import { openRecordIndex } from '@service-fs/hosted/tenant/records/record-index'
import { signHead } from '@service-fs/ledger/head'
import type { Ledger } from '@service-fs/ledger/ledger'
import { openLedger } from '@service-fs/ledger/open'
import type { NewRecord } from '@service-fs/ledger/record'
import { nativeCodec, nativeCrypto, nativeKernel, sha256Hex } from '@service-fs/native/native'
import { nodeRuntime } from '@service-fs/native/runtime'
import { openPosixStorage } from '@service-fs/storage-posix/posix'
import { Edge } from '@service-fs/tlog/edge'
import { formatSignerKey, signerFromKey, verifierFromVkey, type KeySigner } from '@service-fs/tlog/keys'
import { entryMembers } from '@service-fs/wire/append'
import { createWire, type Wire } from '@service-fs/wire/handle'
import { jsonRecord } from '@service-fs/wire/json-records'
import { DEFAULT_LIMITS } from '@service-fs/wire/limits'
import type { WireRequest } from '@service-fs/wire/request'
import { bytesOf, idOf, payloadOf } from '../micro/data.ts'
import { type LimitRow, limitRows, type Measure } from './limit.ts'

export const about =
  'Appends one record of 200 bytes after another: each step alone, then the ledger without HTTP, JSON and answers, and the wire without HTTP. The figures are CPU times, and include the threads that sync.'

const MS = 700
const WARM_MS = 300
const MODULE = 'bench'
const ORIGIN = 'bench.invalid/ledger'
const TIME = '2026-11-22T18:43:00.123Z'
const READING = { limits: DEFAULT_LIMITS, codec: nativeCodec, scansBytes: true }
/** Records of a commit when 64 and 256 clients append. */
const COMMITS = [30, 120]
const CALLERS = [64, 256]

const sync = promisify(fdatasync)

/** Counts the records of all steps, so that every record has another identifier. */
let count = 0

function newBody(): Uint8Array {
  const n = count++
  return Buffer.from(`{"payload_id":"${idOf(n)}","payload":${payloadOf(n)}}`)
}

function newRecord(): NewRecord {
  const n = count++
  return { id: idOf(n), type: 'application/json', payload: Buffer.from(payloadOf(n)) }
}

export async function run(rounds: number): Promise<LimitRow[]> {
  const dir = mkdtempSync(join(tmpdir(), 'service-fs-limit-'))
  const signer = signerFromKey(formatSignerKey({ name: ORIGIN, type: 1, seed: bytesOf(32) }), nativeCrypto)
  try {
    return await limitRows(rounds, [
      ...recordSteps(dir),
      ...COMMITS.flatMap((size) => commitSteps(dir, size, signer)),
      ...CALLERS.flatMap((callers) => together(dir, callers, signer)),
    ])
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** The steps that each record needs. */
function recordSteps(dir: string): Measure[] {
  const body = newBody()
  const record = newRecord()
  const entry = { index: 1, parts: 1, leafHash: 'x'.repeat(44), time: TIME, duplicate: false }
  return [
    micros('make the body of the next steps', () => void newBody()),
    micros('read JSON', () => void jsonRecord(body, READING)),
    micros('make the entry', () => void pack(record)),
    { name: 'look the identifier up, and add it', unit: 'µs a record', measure: () => indexing(dir) },
    micros('make the receipt', () => {
      const receipt = `{${entryMembers(record.id, entry)},"checkpoint":${JSON.stringify('x\n'.repeat(200))}}`
      nativeCodec.utf8Encode(receipt)
    }),
  ]
}

function pack(record: NewRecord): PackedRecords {
  return packEntries([record], TIME, sha256Hex, nativeCodec)
}

function micros(name: string, work: () => void): Measure {
  return { name, unit: 'µs a record', measure: () => cpuOf(1, work) }
}

/** Returns the microseconds of CPU time of a record. `work` does the work of `records` records. */
async function cpuOf(records: number, work: () => void | Promise<void>): Promise<number> {
  let start = process.cpuUsage()
  let done = 0
  for (const ms of [WARM_MS, MS]) {
    const end = performance.now() + ms
    start = process.cpuUsage()
    done = 0
    do {
      const pending = work()
      if (pending !== undefined) await pending
      done += records
    } while (performance.now() < end)
  }
  const { user, system } = process.cpuUsage(start)
  return (user + system) / done
}

/** Measures an index that begins empty. It receives 30 records at once, like the index of a ledger with 64 clients. */
async function indexing(dir: string): Promise<number> {
  const [size = 1] = COMMITS
  const place = join(dir, 'records')
  const index = openRecordIndex(place)
  try {
    let covered = 0
    const root = 'x'.repeat(44)
    return await cpuOf(size, () => {
      const records = Array.from({ length: size }, (_, i) => ({ id: idOf(count++), index: covered + i }))
      for (const { id } of records) if (index.get(id) !== undefined) throw new Error(`${id}: expected none`)
      covered += size
      index.put(records, covered, root)
      // Gives the index time to write its runs, as a ledger does.
      return new Promise<void>((resolve) => void setImmediate(resolve))
    })
  } finally {
    await index.close()
    rmSync(place, { recursive: true, force: true })
  }
}

/** The steps of a commit of `size` records, shared among them. */
function commitSteps(dir: string, size: number, signer: KeySigner): Measure[] {
  const packed = Array.from({ length: size }, () => pack(newRecord()))
  const { edge, root, text } = nativeKernel.extend(new Edge(), packed)
  const of = (name: string, measure: () => Promise<number>): Measure => ({
    name: `${name}, ${size} records a commit`,
    unit: 'µs a record',
    measure,
  })
  return [
    of('base64 lines and hashes', () =>
      cpuOf(size, () => void nativeKernel.extend(new Edge(1000, edgeOf1000), packed)),
    ),
    of('sign the checkpoint', () =>
      cpuOf(size, async () => {
        await signHead({ origin: ORIGIN, signer, runtime: nodeRuntime }, edge, root)
      }),
    ),
    of('write and sync', () => writing(dir, size, text)),
  ]
}

/** The right edge of a tree of 1,000 entries: any hashes. */
const edgeOf1000 = Array.from({ length: 6 }, (_, i) => Buffer.alloc(32, i).toString('base64'))

async function writing(dir: string, size: number, text: Uint8Array): Promise<number> {
  const fd = openSync(join(dir, 'tail'), 'w')
  let at = 0
  try {
    return await cpuOf(size, async () => {
      at += writeSync(fd, text, 0, text.length, at)
      await sync(fd)
    })
  } finally {
    closeSync(fd)
  }
}

/**
 * A ledger in files, and a wire over it, with several callers. Each caller waits for its append before it makes the
 * next.
 */
function together(dir: string, callers: number, signer: KeySigner): Measure[] {
  const waits: { p99: number } = { p99: Number.NaN }
  const byCallers = async (append: (ledger: Ledger, wire: Wire) => () => Promise<void>): Promise<number> => {
    const place = mkdtempSync(join(dir, 'ledger-'))
    const ledger = await openIn(place, signer)
    try {
      const found = await called(callers, append(ledger, wireOf(ledger)))
      waits.p99 = found.p99
      return found.cpu
    } finally {
      await ledger.close()
      rmSync(place, { recursive: true, force: true })
    }
  }
  return [
    {
      name: `the ledger, ${callers} callers`,
      unit: 'µs a record',
      measure: () => byCallers((ledger) => async () => void (await ledger.append([newRecord()]))),
    },
    {
      name: `the wire, ${callers} callers`,
      unit: 'µs a record',
      measure: () => byCallers((_, wire) => async () => checked(await wire.handle(requestOf(newBody())))),
    },
    { name: `the wire, ${callers} callers, p99`, unit: 'ms', measure: () => waits.p99 },
  ]
}

async function openIn(dir: string, signer: KeySigner): Promise<Ledger> {
  return openLedger({
    storage: await openPosixStorage(dir, { lock: false }),
    origin: ORIGIN,
    signer,
    verifiers: [verifierFromVkey(signer.vkey, nativeCrypto)],
    runtime: nodeRuntime,
    index: openRecordIndex(join(dir, 'cache', 'records')),
  })
}

function wireOf(ledger: Ledger): Wire {
  let requests = 0
  return createWire({
    moduleId: MODULE,
    ledger,
    codec: nativeCodec,
    scansBytes: true,
    now: () => Date.now(),
    after: (ms, late) => nodeRuntime.after(ms, late),
    requestId: () => `limit-${requests++}`,
    ready: async () => ({ ready: true }),
    version: '0',
  })
}

const HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'application/json',
  'x-foundry-module-id': MODULE,
}

function requestOf(body: Uint8Array): WireRequest {
  return { method: 'POST', target: '/v1/append', header: (name) => HEADERS[name], body }
}

function checked({ status }: { status: number }): void {
  if (status !== 200) throw new Error(`expected 200, found ${status}`)
}

/** Returns the CPU time of a call in microseconds, and the 99th percentile of the time that a caller waits in milliseconds. */
async function called(callers: number, call: () => Promise<void>): Promise<{ cpu: number; p99: number }> {
  let waits: number[] = []
  const end = performance.now() + WARM_MS + MS
  const loops = Array.from({ length: callers }, async () => {
    while (performance.now() < end) {
      const start = performance.now()
      await call()
      waits.push(performance.now() - start)
    }
  })
  await nodeRuntime.turn()
  await new Promise((resolve) => setTimeout(resolve, WARM_MS))
  waits = []
  const before = process.cpuUsage()
  await Promise.all(loops)
  const { user, system } = process.cpuUsage(before)
  const sorted = Float64Array.from(waits).toSorted()
  return { cpu: (user + system) / waits.length, p99: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN }
}
