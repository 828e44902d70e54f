// Power cuts and failures at every step of a copy.
import { filesSource, type LogSource } from '@service-fs/client/source'
import { directoryFiles, type LedgerFiles } from '@service-fs/client/ledger-files'
import { makeLedger, remove, temporary, testRecords, testSigner } from '@service-fs/client/testing'
import { TrustedTree } from '@service-fs/client/tree'
import { Trust } from '@service-fs/client/trust'
import { sha256Hex } from '@service-fs/native/native'
import { FaultyDisk } from '@service-fs/storage/faulty'
import { MAX_TAIL_BYTES } from '@service-fs/storage/object-name'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { copyLog, storedTree } from './copy-log.ts'
import { endWithTail } from './tree-end.ts'

const trust = Trust.pinned({ vkeys: [testSigner().vkey] }) as Trust
const SIZES = [300, 520] as const

let dir = ''
const sources: LogSource[] = []
beforeAll(async () => {
  dir = await temporary()
  for (const size of SIZES) {
    await makeLedger(`${dir}/${size}`, { records: testRecords(size) })
    sources.push(filesSource(directoryFiles(`${dir}/${size}`)))
  }
})
afterAll(() => remove(dir))

/** Returns the files of a ledger on a simulated disk. */
function filesOn(disk: FaultyDisk): LedgerFiles {
  return {
    place: 'copy',
    read: async (path) => {
      const bytes = await disk.files.readFile(path, MAX_TAIL_BYTES)
      return bytes && Buffer.from(bytes)
    },
    list: async (folder) => (await disk.files.list(folder)).map((name) => ({ name, kind: 'file' as const })),
    below: () => {
      throw new Error('the copy of one log')
    },
  }
}

/** Copies the sources, one after the other. */
async function copyAll(disk: FaultyDisk): Promise<void> {
  const storage = await disk.open()
  for (const source of sources) {
    const note = await source.checkpoint()
    const newest = { note, checkpoint: trust.open(note) }
    const stored = filesSource(filesOn(disk))
    if (((await storedTree(stored, trust))?.checkpoint.size ?? 0) > newest.checkpoint.size) continue
    const target = { name: 'copy', storage, stored, end: endWithTail.bind(undefined, storage) }
    await copyLog({ source, target, trust, newest })
  }
  await storage.close()
}

/** Checks every entry that the stored checkpoint covers, and returns its size. */
async function checkStored(disk: FaultyDisk): Promise<number> {
  const stored = filesSource(filesOn(disk))
  const found = await storedTree(stored, trust)
  if (found === undefined) return 0
  const tree = await TrustedTree.open(stored, found.checkpoint)
  for (let i = 0; i < tree.bundles; i++) await tree.bundle(i)
  return tree.size
}

/**
 * Returns the SHA-256 of each file, except older tail files: a power cut may undo their removal, and the next run
 * that finds new entries removes them.
 */
function dumped(disk: FaultyDisk): [string, string][] {
  const files = [...disk.dump()].sort(([a], [b]) => (a < b ? -1 : 1))
  const newest = files.findLast(([path]) => path.startsWith('tail/'))?.[0]
  const kept = files.filter(([path]) => !path.startsWith('tail/') || path === newest)
  return kept.map(([path, bytes]) => [path, sha256Hex(bytes)])
}

describe('a copy', () => {
  it('a copy is complete at its checkpoint after a power cut at any step, and later runs produce the same bytes', async () => {
    const whole = new FaultyDisk({ seed: 1 })
    await copyAll(whole)
    const steps = whole.steps.length
    expect(steps).toBeGreaterThan(50)
    const sizes = new Set<number>()
    for (let cutAt = 1; cutAt <= steps; cutAt++) {
      const disk = new FaultyDisk({ seed: cutAt, cutAt })
      await copyAll(disk).catch(() => undefined)
      const after = disk.crash({ seed: cutAt, cutAt: Number.MAX_SAFE_INTEGER })
      sizes.add(await checkStored(after))
      await copyAll(after)
      expect(dumped(after), `cut at ${cutAt}: ${disk.steps.at(-1)}`).toEqual(dumped(whole))
    }
    expect([...sizes].sort((a, b) => a - b)).toEqual([0, ...SIZES])
  })

  it('a run fails when a step fails; the copy stays complete at its checkpoint, and continues after a restart', async () => {
    const whole = new FaultyDisk({ seed: 1 })
    await copyAll(whole)
    for (let step = 1; step <= whole.steps.length; step += 3) {
      const disk = new FaultyDisk({ seed: step, fail: { step, errno: step % 2 === 0 ? 'EIO' : 'ENOSPC' } })
      await copyAll(disk).catch(() => undefined)
      const after = disk.crash({ seed: step, fail: { step: Number.MAX_SAFE_INTEGER, errno: 'EIO' } })
      await checkStored(after)
      await copyAll(after)
      expect(dumped(after), `failed at ${step}: ${disk.steps[step - 1]}`).toEqual(dumped(whole))
    }
  })
})
