// The memory of batches without HTTP, commits, files and caches.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { packEntries } from '@service-fs/format/pack-entries'
import { nativeCodec, nativeKernel, sha256Hex } from '@service-fs/native/native'
import { Edge } from '@service-fs/tlog/edge'
import { ndjsonRecords } from '@service-fs/wire/json-records'
import { DEFAULT_LIMITS } from '@service-fs/wire/limits'
import { idOf, payloadOf } from '../micro/data.ts'
import { type LimitRow, limitRows } from './limit.ts'

export const about =
  'Peak memory of a process with the heap of the daemon that takes NDJSON batches of 1,000 records of 200 bytes, one after the other: Node.js and the modules alone, then each step.'

const ROLE = 'memory-of'
const RECORDS = 1000
const MS = 2000
/** The flags that app/bin/service-fs.js sets: a heap that doubles, and 8 MiB of young objects in two halves. */
const FLAGS = ['--heap-growing-percent=100', '--max-semi-space-size=4']
const TIME = '2026-11-22T18:43:00.123Z'
const READING = { limits: DEFAULT_LIMITS, codec: nativeCodec, scansBytes: true }

/** Each role also does the work of the role before. */
const ROLES: Readonly<Record<string, (n: number) => void>> = {
  'Node.js and the modules': () => undefined,
  'the bodies': (n) => void bodyOf(n),
  'bodies, scanned': (n) => void ndjsonRecords(bodyOf(n), READING),
  'bodies, scanned, entries': (n) => void entriesOf(n),
  'bodies, scanned, entries, lines and hashes': (n) =>
    void nativeKernel.extend(new Edge(), [entriesOf(n)], 4096),
}

function bodyOf(n: number): Uint8Array {
  const line = (i: number): string => `{"payload_id":"${idOf(n + i)}","payload":${payloadOf(n + i)}}\n`
  return Buffer.from(Array.from({ length: RECORDS }, (_, i) => line(i)).join(''))
}

function entriesOf(n: number): ReturnType<typeof packEntries> {
  return packEntries(ndjsonRecords(bodyOf(n), READING), TIME, sha256Hex, nativeCodec)
}

export function run(rounds: number): Promise<LimitRow[]> {
  return limitRows(
    rounds,
    Object.keys(ROLES).map((role) => ({ name: role, unit: 'MiB', measure: () => peakOf(role) })),
  )
}

function peakOf(role: string): number {
  const child = spawnSync(process.execPath, [...FLAGS, process.argv[1] ?? '', ROLE, role], {
    encoding: 'utf8',
  })
  if (child.status !== 0) throw new Error(`${role}: exit ${child.status}: ${child.stderr}`)
  return Number(child.stdout)
}

/** Runs in a process of its own, and prints its peak memory. */
function work(role: string): void {
  const step = ROLES[role]
  if (step === undefined) throw new Error(`${role}: expected one of ${Object.keys(ROLES).join(', ')}`)
  const end = performance.now() + MS
  for (let n = 0; performance.now() < end; n += RECORDS) step(n)
  const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
  process.stdout.write(String(Number(peak) / 1024))
}

if (process.argv[2] === ROLE) work(process.argv[3] ?? '')
