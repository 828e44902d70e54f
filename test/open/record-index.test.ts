// Opening a record index reads two bytes for each record, and a lookup reads one page.
import { mkdtempSync, rmSync } from 'node:fs'
import type * as Fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { PAGE_BYTES, RECORDS_A_PAGE } from '@service-fs/hosted/tenant/records/page'
import { openRecordIndex } from '@service-fs/hosted/tenant/records/record-index'

const read = vi.hoisted(() => ({ calls: 0, bytes: 0 }))
vi.mock('node:fs', async (original) => {
  const fs = await original<typeof Fs>()
  const readSync = (...args: Parameters<typeof Fs.readSync>): number => {
    const bytes = fs.readSync(...args)
    read.calls += 1
    read.bytes += bytes
    return bytes
  }
  return { ...fs, readSync, default: { ...fs, readSync } }
})

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'index-opening-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

async function make(records: number): Promise<void> {
  const index = openRecordIndex(dir)
  const all = Array.from({ length: records }, (_, at) => ({ id: `record-${at}`, index: at }))
  index.put(all, records, 'root')
  await index.close()
}

function opening(): { calls: number; bytes: number } {
  Object.assign(read, { calls: 0, bytes: 0 })
  const index = openRecordIndex(dir)
  const found = { ...read }
  expect(index.get('record-7')).toBe(7)
  void index.close()
  return found
}

it.each([1000, 50_000, 400_000])(
  'opening the record index reads the head, the fence and the filter of %d records, and none of the records',
  async (records) => {
    await make(records)
    const pages = Math.ceil(records / RECORDS_A_PAGE)
    // Two bytes for each record, six for each page of records, and the unused space of pages.
    const bound = 2 * records + 6 * pages
    const { calls, bytes } = opening()
    expect(bytes).toBeGreaterThan(bound)
    expect(bytes).toBeLessThan(bound * 1.002 + 3 * PAGE_BYTES)
    expect(calls).toBeLessThan(4 + (6 * pages) / (PAGE_BYTES - 8))
  },
)

it('a look-up reads one page at every size of the index', async () => {
  for (const records of [1000, 400_000]) {
    await make(records)
    const index = openRecordIndex(dir)
    Object.assign(read, { calls: 0, bytes: 0 })
    expect(index.get(`record-${records - 1}`)).toBe(records - 1)
    expect(read).toEqual({ calls: 1, bytes: PAGE_BYTES })
    await index.close()
    rmSync(dir, { recursive: true })
  }
})
