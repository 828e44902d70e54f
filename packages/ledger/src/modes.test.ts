// Tests a ledger that changes from one tail mode to the other, as an archived directory does between the envelopes.
import * as fc from 'fast-check'
import { tailName } from '@service-fs/format/tail-text'
import { MemoryStorage } from '@service-fs/storage/memory'
import { bundlePath } from '@service-fs/storage/object-name'
import { describe, expect, it } from 'vitest'
import type { Ledger } from './ledger.ts'
import type { NewRecord } from './record.ts'
import { openTestLedger, textRecord } from './testing-native.ts'

type Mode = 'grow' | 'each'
type Files = Map<string, Uint8Array>

function batch(from: number, count: number): NewRecord[] {
  return Array.from({ length: count }, (_, i) => textRecord(`r${from + i}`, `text ${from + i}`))
}

function open(files: Files, tailMode: Mode): Promise<{ ledger: Ledger; storage: MemoryStorage }> {
  const storage = new MemoryStorage({ tailMode, files })
  return openTestLedger({ storage }).then((ledger) => ({ ledger, storage }))
}

/** Makes commits of these numbers of entries in one mode, then stops cleanly or is killed at once. */
async function life(files: Files, mode: Mode, commits: readonly number[], clean: boolean): Promise<Files> {
  const { ledger, storage } = await open(files, mode)
  for (const count of commits) await ledger.append(batch(ledger.size, count))
  if (clean) await ledger.close()
  return storage.dump()
}

function newestTail(files: Files): string {
  return [...files.keys()].filter((path) => path.startsWith('tail/')).at(-1) ?? ''
}

/** Adds the beginning of another commit after the newest tail file. */
function torn(files: Files, length: number, fill: number | undefined): Files {
  const path = newestTail(files)
  const bytes = files.get(path) ?? new Uint8Array()
  const rest = Buffer.from('QUJD\n'.repeat(200)).subarray(0, length)
  const ahead = Buffer.alloc(fill === undefined ? 0 : 700, fill)
  return new Map([...files, [path, Buffer.concat([bytes, rest, ahead])]])
}

async function checkAll(files: Files, mode: Mode, size: number): Promise<void> {
  const { ledger } = await open(files, mode)
  expect(ledger.size).toBe(size)
  for (let index = 0; index < size; index++) expect((await ledger.record(index)).id).toBe(`r${index}`)
  await ledger.append(batch(size, 1))
  await ledger.close()
}

describe('a ledger that changes from one tail mode to the other', () => {
  it.each([0, 1, 255, 256, 257, 511, 512, 600])('continues at %i entries', async (size) => {
    for (const clean of [true, false]) {
      for (const mode of ['grow', 'each'] as const) {
        const other = mode === 'grow' ? 'each' : 'grow'
        const first = await life(new Map(), mode, size === 0 ? [] : [size], clean)
        const second = await life(first, other, [1, 3], clean)
        await checkAll(second, other, size + 4)
        await checkAll(second, mode, size + 4)
      }
    }
  })

  it('continues after a torn commit, in either mode', async () => {
    for (const [length, fill] of [
      [7, undefined],
      [1000, undefined],
      [7, 0],
      [600, 10],
    ] as const) {
      const killed = torn(await life(new Map(), 'grow', [100, 100], false), length, fill)
      const taken = await life(killed, 'each', [10, 60], false)
      expect([...taken.keys()].filter((path) => path.startsWith('tail/'))).toEqual(
        [0, 200, 210].map((start) => `tail/${tailName(start)}`),
      )
      await checkAll(taken, 'each', 270)
      await checkAll(taken, 'grow', 270)
      const back = await life(taken, 'grow', [5], true)
      expect(newestTail(back)).toBe('tail/000000000256')
      await checkAll(back, 'each', 275)
    }
  })

  it('never begins the tail after a gap in the sealed bundles', async () => {
    const sealed = await life(new Map(), 'grow', [1800], false)
    expect(sealed.has(bundlePath(6))).toBe(true)
    for (const missing of [[1], [0], [1, 2, 3, 4, 5], [6], [3, 5]]) {
      const files = new Map(sealed)
      for (const bundle of missing) {
        files.delete(bundlePath(bundle))
        if (bundle % 2 === 1) files.delete(bundlePath(bundle).replace('entries', '0'))
      }
      for (const mode of ['each', 'grow'] as const) {
        await checkAll(files, mode, 1800)
        const mended = await life(files, mode, [1, 300, 1], true)
        for (let bundle = 0; bundle < 8; bundle++) expect(mended.has(bundlePath(bundle))).toBe(true)
        await checkAll(mended, 'each', 2102)
        await checkAll(mended, 'grow', 2102)
      }
    }
  })

  it('keeps every record over several runs in either mode, whether stopped or killed', async () => {
    const lives = fc.array(
      fc.record({
        mode: fc.constantFrom<Mode>('grow', 'each'),
        commits: fc.array(fc.constantFrom(1, 2, 40, 128, 256, 300), { maxLength: 4 }),
        end: fc.constantFrom('clean', 'kill', 'torn', 'fill'),
        lost: fc.nat(20),
      }),
      { minLength: 1, maxLength: 6 },
    )
    await fc.assert(
      fc.asyncProperty(lives, async (list) => {
        let files: Files = new Map()
        let size = 0
        for (const { mode, commits, end, lost } of list) {
          files = await life(files, mode, commits, end === 'clean')
          for (const count of commits) size += count
          // A kill may leave a bundle of the newest round unsealed.
          if (mode === 'grow' && end !== 'clean' && newestTail(files) === 'tail/000000000000')
            files.delete(bundlePath(lost))
          if (mode === 'grow' && size > 0 && (end === 'torn' || end === 'fill'))
            files = torn(files, end === 'torn' ? 50 : 0, end === 'torn' ? undefined : 0)
        }
        await checkAll(files, 'grow', size)
        await checkAll(files, 'each', size)
      }),
      { numRuns: 40 },
    )
  })
})
