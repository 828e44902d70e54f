// Tests a ledger whose record index is behind, damaged or wrong. It must append no record twice, reject no new record, and still
// serve reads.
import { MemoryStorage } from '@service-fs/storage/memory'
import type { Hash } from '@service-fs/tlog/hash'
import { expect, it } from 'vitest'
import type { Ledger } from './ledger.ts'
import { MemoryIndex, RecordIndexDamage, type IndexedRecord } from './record-index.ts'
import { Readiness } from './readiness.ts'
import { openTestLedger, TestRuntime, textRecord } from './testing-native.ts'

/** A storage that holds `count` records r0, r1, … and was stopped cleanly. */
async function stored(count: number): Promise<MemoryStorage> {
  const storage = new MemoryStorage()
  const ledger = await openTestLedger({ storage })
  for (let at = 0; at < count; at += 1000)
    await ledger.append(
      Array.from({ length: Math.min(1000, count - at) }, (_, i) =>
        textRecord(`r${at + i}`, `text ${at + i}`),
      ),
    )
  await ledger.close()
  return new MemoryStorage({ files: storage.dump() })
}

/** An index whose writes wait until the gate is opened. */
class SlowIndex extends MemoryIndex {
  open!: () => void
  readonly #gate = new Promise<void>((resolve) => (this.open = resolve))

  override flush(): Promise<void> {
    return this.#gate
  }
}

/** Appends a record with this id and text; returns its place or the error code. */
async function appended(
  ledger: Ledger,
  id: string,
  text: string,
): Promise<[index: number, duplicate: boolean] | string> {
  try {
    const { entries } = await ledger.append([textRecord(id, text)])
    return [entries[0]?.index ?? -1, entries[0]?.duplicate ?? false]
  } catch (error) {
    return (error as { code: string }).code
  }
}

it('a ledger serves reads, and accepts records with fresh identifiers, while the index is being built', async () => {
  const index = new SlowIndex()
  const ledger = await openTestLedger({ storage: await stored(20_000), index })
  const readiness = new Readiness(ledger, await openTestLedger())
  expect((await ledger.record(7)).id).toBe('r7')
  const fresh = await ledger.appendFresh([textRecord('fresh', 'made here')])
  expect(fresh.entries[0]).toMatchObject({ index: 20_000, duplicate: false })
  expect((await ledger.record(20_000)).id).toBe('fresh')
  expect(ledger.status()).toMatchObject({ accepting: true, prepared: false, size: 20_001 })
  const again = appended(ledger, 'r3', 'text 3')
  const found = ledger.recordById('fresh')
  await expect.poll(() => ledger.status().indexed).toBe(16_384)
  expect(readiness.now()).toEqual({
    ready: false,
    reason:
      'the record index of the ledger covers 16384 of 20001 entries: until it covers all, appends and reads by identifier wait',
  })
  index.open()
  expect(await again).toEqual([3, true])
  expect((await found).index).toBe(20_000)
  expect(await appended(ledger, 'fresh', 'something else')).toBe('conflict')
  expect(ledger.size).toBe(20_001)
  await ledger.close()
})

it('a ledger bounds the time that appends and lookups wait for the index', async () => {
  const runtime = new TestRuntime()
  const index = new SlowIndex()
  const ledger = await openTestLedger({ storage: await stored(300), index, runtime })
  const answers = [
    appended(ledger, 'new', 'text'),
    ledger.recordById('r1').catch((error: { code: string }) => error.code),
  ]
  await expect.poll(() => ledger.status().indexed).toBe(300)
  // The index covers the ledger but is not written yet. The waiting calls resolve when that step ends.
  await ledger.appendFresh([textRecord('fresh', 'made here')])
  runtime.advance(10_000)
  expect(await Promise.all(answers)).toEqual(['not-ready', 'not-ready'])
  expect(ledger.size).toBe(301)
  index.open()
  expect(await appended(ledger, 'new', 'text')).toEqual([301, false])
  await ledger.close()
})

it('a ledger stops while appends wait for the index', async () => {
  const index = new SlowIndex()
  const ledger = await openTestLedger({ storage: await stored(20_000), index })
  const waiting = appended(ledger, 'new', 'text')
  await expect.poll(() => ledger.status().indexed).toBe(16_384)
  const closed = ledger.close()
  index.open()
  expect(await waiting).toBe('closed')
  await closed
})

/** An index that reports damage at every `every`th lookup, and then covers nothing. */
class DamagedIndex extends MemoryIndex {
  asked = 0
  readonly #every: number

  constructor(every: number) {
    super()
    this.#every = every
  }

  override get(id: string): number | undefined {
    this.asked += 1
    if (this.asked % this.#every !== 0) return super.get(id)
    void this.clear()
    throw new RecordIndexDamage('a page is not what was written')
  }
}

it('a ledger rebuilds a damaged index before it accepts an identifier as new', async () => {
  const index = new DamagedIndex(3)
  const ledger = await openTestLedger({ storage: await stored(600), index })
  for (let i = 0; i < 30; i++) {
    expect(await appended(ledger, `r${i * 20}`, `text ${i * 20}`)).toEqual([i * 20, true])
    expect(await appended(ledger, `r${i * 20}`, 'something else')).toBe('conflict')
    expect(await appended(ledger, `new ${i}`, 'text')).toEqual([600 + i, false])
    expect((await ledger.recordById(`r${i}`)).index).toBe(i)
  }
  expect(ledger.size).toBe(630)
  await ledger.close()
})

it('a ledger gives up on an index that is damaged each time, and appends nothing', async () => {
  const ledger = await openTestLedger({ storage: await stored(10), index: new DamagedIndex(1) })
  expect(await appended(ledger, 'r1', 'text 1')).toBe('not-ready')
  expect(await appended(ledger, 'new', 'text')).toBe('not-ready')
  expect(ledger.size).toBe(10)
  await ledger.close()
})

/** An index that returns the entry `wrong` for `id` until it has been cleared `times` times. */
class WrongIndex extends MemoryIndex {
  #left: number
  readonly #wrong: number

  constructor(wrong: number, times: number) {
    super()
    this.#wrong = wrong
    this.#left = times
  }

  override get(id: string): number | undefined {
    return this.#left > 0 && id.startsWith('wrong') ? this.#wrong : super.get(id)
  }

  override clear(): Promise<void> {
    this.#left -= 1
    return super.clear()
  }
}

it.each([4, 10, 1_000_000])(
  'a ledger detects that the index returns entry %i for another record’s identifier',
  async (at) => {
    const ledger = await openTestLedger({ storage: await stored(10), index: new WrongIndex(at, 1) })
    expect(await appended(ledger, 'wrong', 'text 4')).toEqual([10, false])
    expect(await appended(ledger, 'wrong', 'text 4')).toEqual([10, true])
    await ledger.close()
    const other = await openTestLedger({ storage: await stored(10), index: new WrongIndex(at, 1) })
    await expect(other.recordById('wrong')).rejects.toMatchObject({ code: 'not-found' })
    await other.close()
  },
)

it('a ledger clears an index of another ledger, and one that covers more entries than this ledger has', async () => {
  for (const [size, root] of [
    [5, 'another'],
    [50, 'another'],
  ] as [number, Hash][]) {
    const index = new MemoryIndex()
    const foreign: IndexedRecord[] = [{ id: 'new', index: 3 }]
    index.put(foreign, size, root)
    const ledger = await openTestLedger({ storage: await stored(10), index })
    expect(await appended(ledger, 'r3', 'text 3')).toEqual([3, true])
    expect(await appended(ledger, 'new', 'text')).toEqual([10, false])
    await ledger.close()
  }
})

it('a ledger reports where it is damaged, and accepts no appends, when the index can’t be built', async () => {
  const files = (await stored(600)).dump()
  const path = 'tile/entries/001.b64'
  const lines = new TextDecoder().decode(files.get(path)).split('\n')
  lines[7] = lines[8] as string
  files.set(path, new TextEncoder().encode(lines.join('\n')))
  const ledger = await openTestLedger({ storage: new MemoryStorage({ files }) })
  expect(await appended(ledger, 'new', 'text')).toBe('corrupt')
  expect(ledger.status()).toMatchObject({ accepting: false, code: 'corrupt' })
  expect(ledger.status().reason).toContain('tile/entries/001.b64: line 8')
  expect((await ledger.record(3)).id).toBe('r3')
  expect((await ledger.appendFresh([textRecord('fresh', 'made here')])).entries[0]?.index).toBe(600)
  await ledger.close()
})
