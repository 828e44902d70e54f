// The commit's wait for the disk.

import { open, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LimitRow, limitRows } from './limit.ts'

export const about =
  'Appends to a file and waits for fdatasync, as a commit does, without any of the work of a ledger.'

const KIBIBYTES = [4, 64, 1024]
const MS = 500

export async function run(rounds: number): Promise<LimitRow[]> {
  const dir = await mkdtemp(join(tmpdir(), 'service-fs-limit-'))
  try {
    const measures = KIBIBYTES.map((kib) => ({
      name: `commits of ${kib} KiB`,
      unit: '/s',
      measure: () => commitsPerSecond(join(dir, 'file'), kib * 1024),
    }))
    return await limitRows(rounds, measures)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

async function commitsPerSecond(path: string, size: number): Promise<number> {
  const bytes = Buffer.alloc(size, 'x')
  const file = await open(path, 'w')
  try {
    const start = performance.now()
    let commits = 0
    while (performance.now() - start < MS) {
      await file.write(bytes)
      await file.datasync()
      commits++
    }
    return (commits / (performance.now() - start)) * 1000
  } finally {
    await file.close()
  }
}
