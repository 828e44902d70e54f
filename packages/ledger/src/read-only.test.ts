import { FaultyDisk } from '@service-fs/storage/faulty'
import { MemoryStorage } from '@service-fs/storage/memory'
import { Random } from '@service-fs/storage/random'
import { openReadOnlyStorage } from '@service-fs/storage/read-only'
import type { StorageCapability } from '@service-fs/storage/capability'
import { openCheckpoint } from '@service-fs/tlog/checkpoint'
import { beforeAll, describe, expect, it } from 'vitest'
import { Edge } from '@service-fs/tlog/edge'
import { nativeHasher } from '@service-fs/native/native'
import type { Hash } from '@service-fs/tlog/hash'
import { LedgerError } from './errors.ts'
import type { HighWaterMark, Mark } from './high-water-mark.ts'
import type { Ledger } from './ledger.ts'
import { openReadOnlyLedger } from './open.ts'
import type { LedgerOptions } from './options.ts'
import {
  openTestLedger,
  TEST_ORIGIN,
  TestRuntime,
  testSigner,
  testVerifier,
  textRecord,
} from './testing-native.ts'

const WHY = new LedgerError('read-only', 'asked for')

function openReadOnly(
  storage: StorageCapability,
  how: { damaged?: boolean; known?: number; mark?: HighWaterMark } = {},
): Promise<Ledger> {
  const { mark, ...others } = how
  const signer = testSigner
  const options: LedgerOptions = {
    storage,
    origin: TEST_ORIGIN,
    signer,
    verifiers: [testVerifier],
    runtime: new TestRuntime(),
    ...(mark === undefined ? {} : { mark }),
  }
  return openReadOnlyLedger(options, { why: WHY, ...others })
}

/** A ledger of 600 entries, in commits of 30, that was stopped cleanly. */
async function stopped(): Promise<Map<string, Uint8Array>> {
  const storage = new MemoryStorage()
  const ledger = await openTestLedger({ storage })
  for (let i = 0; i < 600; i += 30)
    await ledger.append(Array.from({ length: 30 }, (_, j) => textRecord(`r${i + j}`, 'some text')))
  await ledger.close()
  return storage.dump()
}

/** Appends records `from` to `to` in commits of `step`, and waits until `checkpoint` is published. */
async function grow(
  ledger: Ledger,
  runtime: TestRuntime,
  from: number,
  to: number,
  step: number,
): Promise<void> {
  for (let i = from; i < to; i += step)
    await ledger.append(Array.from({ length: step }, (_, j) => textRecord(`r${i + j}`, 'some text')))
  runtime.advance(1000)
  // Publishing takes some turns of the event loop.
  await new Promise((resolve) => setTimeout(resolve, 20))
}

/**
 * Returns the files of a ledger whose process was killed when it had `covered` entries that `checkpoint` covers, and `more` after
 * them.
 */
async function killed(covered: number, more: number, step: number): Promise<Map<string, Uint8Array>> {
  const storage = new MemoryStorage()
  const runtime = new TestRuntime()
  const ledger = await openTestLedger({ storage, runtime })
  await grow(ledger, runtime, 0, covered, step)
  if (more > 0) {
    await ledger.append(Array.from({ length: more }, (_, j) => textRecord(`r${covered + j}`, 'some text')))
  }
  return storage.dump()
}

async function idsOf(ledger: Ledger): Promise<string[]> {
  const ids: string[] = []
  for await (const { id } of ledger.records(0)) ids.push(id)
  return ids
}

const code = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'done',
    (error: unknown) => (error as LedgerError).code,
  )

describe('a ledger opened for reading only', () => {
  it('shows everything after a clean stop, accepts no appends, and changes nothing', async () => {
    const files = await stopped()
    const storage = new MemoryStorage({ files })
    const ledger = await openReadOnly(storage)
    expect(ledger.size).toBe(600)
    expect(await idsOf(ledger)).toHaveLength(600)
    expect((await ledger.recordById('r599')).index).toBe(599)
    expect((await ledger.append([textRecord('r7', 'some text')])).entries[0]?.duplicate).toBe(true)
    expect(await code(ledger.append([textRecord('new', 'text')]))).toBe('read-only')
    expect(await code(ledger.recordById('new'))).toBe('not-found')
    expect(await code(ledger.entry(600))).toBe('not-found')
    expect(ledger.status()).toMatchObject({ accepting: false, code: 'read-only', reason: 'asked for' })
    await ledger.close()
    expect(storage.dump()).toEqual(files)
  })

  it('shows the durable entries, and does not report later ones as missing', async () => {
    const files = await killed(2, 1, 1)
    const ledger = await openReadOnly(new MemoryStorage({ files }))
    expect([ledger.size, await idsOf(ledger)]).toEqual([2, ['r0', 'r1']])
    for (const asked of [
      ledger.recordById('r2'),
      ledger.record(2),
      ledger.hashTile(0, 0, 3),
      ledger.consistencyProof(0, 3),
      ledger.append([textRecord('r2', 'some text')]),
    ])
      expect(await code(asked)).toBe('read-only')
    const more = await openReadOnly(new MemoryStorage({ files }), { known: 3 })
    expect(await idsOf(more)).toEqual(['r0', 'r1', 'r2'])
    expect(await code(more.recordById('r3'))).toBe('not-found')
  })

  it('rejects a storage without a ledger, and another origin', async () => {
    await expect(openReadOnly(new MemoryStorage())).rejects.toMatchObject({ code: 'not-found' })
    const files = new Map([...(await stopped()), ['origin', new Uint8Array([97, 10])]])
    for (const damaged of [false, true])
      await expect(openReadOnly(new MemoryStorage({ files }), { damaged })).rejects.toMatchObject({
        code: 'corrupt',
        message: expect.stringContaining('origin'),
      })
  })
})

/** Compares bytes at once: `toEqual` takes half a second for the files of a ledger. */
function expectSame(found: ReadonlyMap<string, Uint8Array>, expected: ReadonlyMap<string, Uint8Array>): void {
  expect([...found.keys()]).toEqual([...expected.keys()])
  for (const [name, bytes] of found) {
    const differs = Buffer.compare(bytes, expected.get(name) ?? new Uint8Array()) !== 0
    expect(differs, name).toBe(false)
  }
}

/** Opens a damaged ledger for appends and for reading only, and compares the entries shown with the original ones. */
async function openDamaged(
  files: ReadonlyMap<string, Uint8Array>,
  rootAt?: (size: number) => Hash,
): Promise<number | undefined> {
  const openError = (await openTestLedger({ storage: new MemoryStorage({ files }) }).then(
    () => undefined,
    (error: unknown) => error,
  )) as LedgerError
  expect(openError.code).toBe('corrupt')
  await expect(openReadOnly(new MemoryStorage({ files }))).rejects.toMatchObject({
    message: openError.message,
  })
  const storage = new MemoryStorage({ files })
  const before = storage.dump()
  try {
    const ledger = await openReadOnly(storage, { damaged: true })
    const ids = await idsOf(ledger)
    expect(ids).toEqual(Array.from({ length: ledger.size }, (_, i) => `r${i}`))
    const verifiers = [testVerifier]
    const { checkpoint } = openCheckpoint(ledger.checkpoint(), verifiers, TEST_ORIGIN)
    expect(checkpoint.size).toBe(ledger.size)
    if (rootAt !== undefined) expect(checkpoint.root).toBe(rootAt(checkpoint.size))
    expect(await code(ledger.recordById('elsewhere'))).toBe('read-only')
    expect(ledger.status().reason).toBe(`asked for: ${openError.message.replace(/, found ".*/s, '')}`)
    await ledger.close()
    expectSame(storage.dump(), before)
    return ledger.size
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error
    expect(error.message).toBe(openError.message)
    return undefined
  }
}

const refuse = (): Promise<never> => Promise.reject(new Error('nothing may be written'))

const markOf = (mark: Mark): HighWaterMark => ({
  name: 'mark',
  remedy: (size) => `accept ${size}`,
  read: () => Promise.resolve(mark),
  begin: refuse,
  note: refuse,
  close: () => Promise.resolve(),
})

describe('a ledger opened for reading only, with a high-water mark', () => {
  const ROOT = nativeHasher.leaf(new Uint8Array([1]))

  it('shows the entries that the mark covers, and none when another tree is marked', async () => {
    const files = await killed(2, 1, 1)
    const { root } = (await openReadOnly(new MemoryStorage({ files }), { known: 3 })).head
    const storage = new MemoryStorage({ files })
    expect((await openReadOnly(storage, { mark: markOf({ size: 3, root }) })).size).toBe(3)
    for (const size of [2, 3])
      for (const damaged of [false, true])
        await expect(
          openReadOnly(storage, { damaged, mark: markOf({ size, root: ROOT }) }),
        ).rejects.toMatchObject({
          code: 'corrupt',
          message: expect.stringContaining('acknowledged'),
        })
  })

  it('shows fewer entries than the mark, reports it, and reports no entry as missing', async () => {
    const storage = new MemoryStorage({ files: await killed(2, 1, 1) })
    const ledger = await openReadOnly(storage, { mark: markOf({ size: 5, root: ROOT }) })
    expect([ledger.size, ledger.status().reason]).toEqual([
      3,
      'asked for; 5 entries were acknowledged, but only 3 were found',
    ])
    expect(await code(ledger.recordById('r4'))).toBe('read-only')
  })
})

describe('a damaged tail', () => {
  const tail = 'tail/000000000000'

  it('is shown up to its last whole commit, whichever byte is changed', async () => {
    const files = await killed(120, 0, 30)
    const whole = files.get(tail) ?? new Uint8Array()
    const sizes = new Set<number | undefined>()
    for (let at = 0; at < whole.length; at += Math.floor(whole.length / 40)) {
      const bytes = Uint8Array.from(whole)
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8))
      sizes.add(await openDamaged(new Map([...files, [tail, bytes]])))
    }
    expect([...sizes].sort((a, b) => (a ?? 1000) - (b ?? 1000))).toEqual([30, 60, 90, undefined])
  })

  it('is shown up to its last whole commit, wherever it is cut', async () => {
    const files = await killed(120, 0, 30)
    const whole = files.get(tail) ?? new Uint8Array()
    for (let length = 0; length < whole.length; length += Math.floor(whole.length / 25)) {
      const size = await openDamaged(new Map([...files, [tail, whole.subarray(0, length)]]))
      expect(size ?? 0).toBe(Math.floor((length / whole.length) * 4) * 30)
    }
  })

  it('is shown up to another known durable size when `checkpoint` is damaged', async () => {
    const files = new Map([...(await killed(120, 0, 30)), ['checkpoint', new Uint8Array([120])]])
    expect(await openDamaged(files)).toBeUndefined()
    expect((await openReadOnly(new MemoryStorage({ files }), { damaged: true, known: 90 })).size).toBe(90)
  })

  it('is shown up to the first tail file that does not continue the file before it', async () => {
    const files = new Map([...(await killed(120, 0, 30)), ['tail/000000000119', new Uint8Array([10])]])
    expect(await openDamaged(files)).toBe(120)
  })

  it('is rejected when no commit is whole', async () => {
    const files = await stopped()
    const bytes = Uint8Array.from(files.get('tail/000000000512') ?? [])
    bytes[10] = 0
    expect(await openDamaged(new Map([...files, ['tail/000000000512', bytes]]))).toBeUndefined()
  })
})

describe('a damaged tail that carries entries over from an earlier one', () => {
  const tail = 'tail/000000000512'
  let files: Map<string, Uint8Array>
  let whole: Uint8Array
  let rootAt: (size: number) => Hash
  /** The offset at which the right edge and the signed checkpoint after it end. */
  let start: number

  beforeAll(async () => {
    const storage = new MemoryStorage({ files: await stopped() })
    const runtime = new TestRuntime()
    const ledger = await openTestLedger({ storage, runtime })
    await grow(ledger, runtime, 600, 630, 10)
    files = storage.dump()
    whole = files.get(tail) ?? new Uint8Array()
    const edge = new Edge()
    const roots = [edge.root()]
    for (let i = 0; i < 630; i++) {
      edge.append(nativeHasher.leaf(await ledger.entry(i)))
      roots.push(edge.root())
    }
    rootAt = (size) => roots[size] ?? 'none'
    const line = Buffer.from(await ledger.entry(512)).toString('base64')
    start = Buffer.from(whole).indexOf(line)
    expect(openCheckpoint(ledger.checkpoint(), [testVerifier], TEST_ORIGIN)).toMatchObject({
      checkpoint: { size: 630, root: rootAt(630) },
    })
  })

  /** Returns how many entries are shown after replacing the tail's bytes and other files. */
  const shown = (bytes: Uint8Array, others: [string, Uint8Array][] = []): Promise<number | undefined> =>
    openDamaged(new Map([...files, [tail, bytes], ...others]), rootAt)

  it('is shown at least up to its start, whichever byte is changed', async () => {
    const sizes = new Set<number | undefined>()
    for (let at = start; at < whole.length; at += Math.floor(whole.length / 24)) {
      const bytes = Uint8Array.from(whole)
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8))
      sizes.add(await shown(bytes))
    }
    expect([...sizes].sort((a, b) => (a ?? 1000) - (b ?? 1000))).toEqual([512, 600, 610, 620])
  })

  it('is shown at least up to its start, wherever it is cut', async () => {
    const sizes = new Set<number | undefined>()
    for (let length = start; length < whole.length; length += Math.floor(whole.length / 18))
      sizes.add(await shown(whole.subarray(0, length)))
    expect([...sizes]).toEqual([512, 600, 610, 620])
  })

  it('is never mistaken for torn at its start, although `checkpoint` lags behind', async () => {
    const older = await stopped()
    const opened = new MemoryStorage({ files: older })
    await openTestLedger({ storage: opened })
    const at512 = await openReadOnly(
      new MemoryStorage({ files: new Map([...files, [tail, whole.subarray(0, start)]]) }),
      {
        damaged: true,
      },
    )
    const others: [string, Uint8Array][] = [['checkpoint', Buffer.from(at512.checkpoint())]]
    const first = opened.dump().get(tail)?.length ?? 0
    for (let sector = Math.ceil(start / 512); (sector + 1) * 512 < first; sector += 9) {
      const bytes = Uint8Array.from(whole.subarray(0, first))
      bytes.fill(0, sector * 512, (sector + 1) * 512)
      expect(await shown(bytes, others)).toBe(512)
    }
    for (let length = start + 1; length < first; length += 2500)
      expect(await shown(whole.subarray(0, length), others)).toBe(512)
  })

  it('is shown up to its start when `checkpoint` is damaged too', async () => {
    const bytes = Uint8Array.from(whole)
    bytes[start + 5] = 0
    expect(await shown(bytes, [['checkpoint', new Uint8Array([120])]])).toBe(512)
  })
})

/** Appends until a call fails. */
async function work(disk: FaultyDisk, random: Random): Promise<void> {
  try {
    const runtime = new TestRuntime()
    const ledger = await openTestLedger({ storage: await disk.open(), runtime })
    for (let i = 0; i < 40; i++) {
      const count = 1 + random.below(60)
      await ledger.append(Array.from({ length: count }, (_, j) => textRecord(`r${i}-${j}`, `text ${i} ${j}`)))
      runtime.advance(random.below(600))
    }
    await ledger.close()
  } catch {
    // The process is killed now.
  }
}

it('a ledger that is opened read-only shows no entry that a power cut can undo, whichever call failed before', async () => {
  let shown = 0
  for (let seed = 1; seed <= 40; seed++) {
    const random = new Random(seed)
    const step = 1 + random.below(150)
    const disk = new FaultyDisk({ seed, fail: { step, errno: random.below(2) === 0 ? 'EIO' : 'ENOSPC' } })
    await work(disk, random)
    const left = disk.kill()
    const reader = await openReadOnly(openReadOnlyStorage(left.files, 'grow')).catch(() => undefined)
    const ids = reader === undefined ? [] : await idsOf(reader)
    const ledger = await openTestLedger({ storage: await left.crash().open() })
    expect((await idsOf(ledger)).slice(0, ids.length), `seed ${seed}, step ${step}`).toEqual(ids)
    if (ids.length > 0) shown += 1
    await ledger.close()
  }
  expect(shown).toBeGreaterThan(20)
})

it('a ledger that is opened read-only shows the sealed entries of a ledger that was killed, and whose next opening wrote a commit that is now damaged', async () => {
  const storage = new MemoryStorage({ files: await killed(600, 0, 30) })
  expect([...storage.dump().keys()].filter((path) => path.startsWith('tail/'))).toEqual(['tail/000000000000'])
  await openTestLedger({ storage })
  // The opening wrote all recovered entries as one commit. It stays until their bundles are sealed again.
  const tails = (): string[] => [...storage.dump().keys()].filter((path) => path.startsWith('tail/'))
  await expect.poll(tails).toEqual(['tail/000000000512'])
  const files = storage.dump()
  const bytes = files.get('tail/000000000512') ?? new Uint8Array()
  const damaged = Uint8Array.from(bytes)
  damaged[bytes.length - 2000] = 0
  expect(await openDamaged(new Map([...files, ['tail/000000000512', damaged]]))).toBe(512)
})
