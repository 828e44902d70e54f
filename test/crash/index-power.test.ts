// Cuts the power at any moment while the record index is written. Whichever unsynced pages are lost, "not found" is correct.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { openRecordIndex } from '@service-fs/hosted/tenant/records/record-index'
import { RecordIndexDamage, type RecordIndex } from '@service-fs/ledger/record-index'
import { Random } from '@service-fs/storage/random'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Disk, hasStrace, traced } from '../support/power-cut.ts'

const ENTRIES = 8_000
const CUTS = 120
const SEED = 20_261_129

let scratch: string
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'index-power-'))
})
afterAll(() => rm(scratch, { recursive: true, force: true }))

/** The index's answer, or undefined where it discards an unreadable run. */
function find(index: RecordIndex, id: string): number | undefined {
  try {
    return index.get(id)
  } catch (error) {
    expect(error).toBeInstanceOf(RecordIndexDamage)
    return undefined
  }
}

/** Returns the size that the index in `dir` claims to cover, and the entries below that size that it does not find. */
async function missed(dir: string): Promise<{ size: number; missing: number[] }> {
  const index = openRecordIndex(dir)
  try {
    const missing: number[] = []
    const { size, root } = index
    if (size > 0) expect(root).toBe(`root-${size}`)
    for (let at = 0; at < index.size; at++) {
      if (find(index, `record-${at}`) !== at) missing.push(at)
    }
    return { size: index.size, missing: missing.filter((at) => at < index.size) }
  } finally {
    await index.close()
  }
}

it.skipIf(!hasStrace())('the record index finds every entry that it covers after a power cut', async () => {
  const bundle = join(scratch, 'writer.mjs')
  await build({
    entryPoints: [join(dirname(fileURLToPath(import.meta.url)), '../support/index-writer.ts')],
    outfile: bundle,
    bundle: true,
    platform: 'node',
    format: 'esm',
  })
  const live = join(scratch, 'live')
  const steps = traced(bundle, [live, String(ENTRIES)], live, join(scratch, 'trace'))
  expect(steps.length).toBeGreaterThan(20)
  const random = new Random(SEED)
  const moments = Array.from({ length: CUTS }, () => random.below(steps.length + 1)).sort((a, b) => a - b)
  const disk = new Disk(live)
  let done = 0
  let covered = 0
  for (const [cut, moment] of moments.entries()) {
    for (; done < moment; done++) disk.apply(steps[done] as (typeof steps)[number])
    const dir = join(scratch, 'cut')
    disk.writeCut(dir, [0, 0.5, 0.9, 0.98][cut % 4] as number, random)
    const { size, missing } = await missed(dir)
    expect({ cut, moment, size, missing: missing.slice(0, 5) }).toEqual({ cut, moment, size, missing: [] })
    covered = Math.max(covered, size)
    await rm(dir, { recursive: true, force: true })
  }
  // The index survives at least some power cuts.
  expect(covered).toBeGreaterThan(ENTRIES / 2)
})
