// The time this disk takes to make a small write durable, on which all other figures depend.

import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { median } from './report.ts'

/** Median milliseconds of an appended 4 KiB and its fdatasync, over 100 of them. */
export async function syncMs(dir: string): Promise<number> {
  await mkdir(dir, { recursive: true })
  const path = join(dir, 'sync-probe')
  const file = await open(path, 'w')
  const times: number[] = []
  try {
    for (let i = 0; i < 100; i++) {
      const start = performance.now()
      await file.write(Buffer.alloc(4096, 'x'))
      await file.datasync()
      times.push(performance.now() - start)
    }
  } finally {
    await file.close()
    await rm(path)
  }
  return median(times)
}
