import { scrubPayload } from '@service-fs/format/scrub-entry'
import { MemoryStorage } from '@service-fs/storage/memory'
import { treeDigests } from '@service-fs/native/tree-digests'
import { formatObjectName, type SealedName } from '@service-fs/storage/object-name'
import { Random } from '@service-fs/storage/random'
import { HashTree, tileLines } from '@service-fs/tlog/hash-tree'
import { describe, expect, it } from 'vitest'
import type { Ledger } from '../ledger.ts'
import { openTestLedger, TestRuntime, textRecord } from '../testing-native.ts'
import type { Finding } from './sealed-check.ts'
import type { ScrubOptions } from './scrub.ts'
import { TreeCheck, type SecondTreeCheck } from './tree-check.ts'

const DAY = 86_400_000
const PERIOD = 30 * DAY

type Files = Map<string, Uint8Array>

/** Returns the files of a cleanly stopped ledger with this many records. */
async function ledgerFiles(records: number, tailMode: 'grow' | 'each' = 'grow'): Promise<Files> {
  const storage = new MemoryStorage({ tailMode })
  const ledger = await openTestLedger({ storage })
  for (let i = 0; i < records; i += 500) {
    const count = Math.min(500, records - i)
    await ledger.append(Array.from({ length: count }, (_, j) => textRecord(`r${i + j}`, `text ${i + j}`)))
    // Let the sealer end its round before the next commit wakes it.
    await new Promise((resolve) => setImmediate(resolve))
  }
  await ledger.close()
  return storage.dump()
}

interface Opened {
  ledger: Ledger
  runtime: TestRuntime
  reads: { path: string; at: number; bytes: number }[]
  findings: Finding[]
  repaired: string[]
  saved: { text: string | undefined }
  /** The files on the "disk" that the check reads, which a test may change. */
  disk: Files
}

let number = 0

/** Opens a ledger whose check reads `disk`, which the test may change. */
async function opened(
  files: Files,
  options: Partial<ScrubOptions> & { saved?: string; tailMode?: 'grow' | 'each'; now?: number } = {},
): Promise<Opened> {
  const runtime = new TestRuntime()
  if (options.now !== undefined) runtime.time = options.now
  const disk = new Map(files)
  const saved: { text: string | undefined } = { text: options.saved }
  const found: Omit<Opened, 'ledger'> = { runtime, reads: [], findings: [], repaired: [], saved, disk }
  const ledger = await openTestLedger({
    runtime,
    storage: new MemoryStorage({ files, tailMode: options.tailMode ?? 'grow' }),
    scrub: {
      async read(name: SealedName, pause) {
        const path = formatObjectName(name)
        const bytes = disk.get(path)
        found.reads.push({ path, at: runtime.time, bytes: bytes?.length ?? 0 })
        if (bytes !== undefined) await pause(bytes.length)
        return bytes
      },
      position: {
        load: async () => saved.text,
        save: async (text) => void (saved.text = text),
      },
      newId: () => `id-${++number}`,
      damaged: (finding) => void found.findings.push(finding),
      repaired: (path) => void found.repaired.push(path),
      ...options,
    },
  })
  // Damaged files keep the record index from being built.
  await ledger.ready().catch(() => undefined)
  return { ...found, ledger }
}

/** Advances the clock in steps, and lets the check run after each. */
async function pass(runtime: TestRuntime, ms: number, step: number = ms / 200): Promise<void> {
  for (let left = ms; left > 0; left -= step) {
    runtime.advance(Math.min(step, left))
    for (let turn = 0; turn < 100; turn++) await Promise.resolve()
  }
}

/** Returns the payloads of the ledger's scrub entries. */
async function entries(ledger: Ledger): Promise<Record<string, unknown>[]> {
  const found: Record<string, unknown>[] = []
  for await (const { type, payload } of ledger.records(0))
    if (type.includes('scrub')) found.push(JSON.parse(Buffer.from(payload).toString()) as (typeof found)[0])
  return found
}

describe('a pass', () => {
  it('a pass reads each sealed file once, spread over the period, and records its end', async () => {
    const files = await ledgerFiles(10 * 256 + 9)
    const { ledger, runtime, reads, findings } = await opened(files)
    const started = runtime.time
    await pass(runtime, PERIOD / 2 + DAY)
    // By now the check has read half of the ten bundles, each with its hash tile.
    expect(reads.length).toBe(10)
    expect(ledger.status().scrub).toMatchObject({ checked: 5, bundles: 10, passed: undefined })
    await pass(runtime, PERIOD / 2 + DAY)
    const sealed = [...files.keys()].filter((path) => path.startsWith('tile/'))
    expect(
      reads
        .slice(0, 20)
        .map(({ path }) => path)
        .sort(),
    ).toEqual(sealed)
    for (const [i, { at }] of reads.slice(0, 20).entries())
      expect((at - started) / PERIOD).toBeGreaterThanOrEqual((Math.floor(i / 2) + 1) / 10)
    expect(findings).toEqual([])
    expect(await entries(ledger)).toEqual([
      { bundles: 10, damaged: 0, event: 'passed', started: new Date(started).toISOString() },
    ])
    await ledger.close()
  })

  it('a pass records nothing for a ledger without sealed files', async () => {
    const { ledger, runtime } = await opened(await ledgerFiles(100))
    await pass(runtime, 2 * PERIOD)
    expect(ledger.size).toBe(100)
    await ledger.close()
  })

  it('a late pass never reads faster than its rate', async () => {
    const files = await ledgerFiles(8 * 256 + 9)
    const bytesPerSecond = 10_000
    const { ledger, runtime, reads } = await opened(files, { periodMs: 1, pace: { bytesPerSecond } })
    const started = runtime.time
    await pass(runtime, 120_000, 100)
    expect(reads.length).toBeGreaterThan(10)
    let total = 0
    for (const { at, bytes } of reads) {
      // By this time, the rate allows all earlier reads.
      expect(at - started).toBeGreaterThanOrEqual((total * 1000) / bytesPerSecond)
      total += bytes
    }
    await ledger.close()
  })

  it('a pass pauses after each computation to keep to its share of the time', async () => {
    class Slow extends TestRuntime {
      // Each call of the clock adds a millisecond, so that a computation seems to take time.
      override monotonic(): number {
        this.time += 1
        return this.time
      }
    }
    const runtime = new Slow()
    const { Pacer } = await import('./pacer.ts')
    const pacer = new Pacer(runtime, { bytesPerSecond: 1e9, duty: 0.05 })
    let isDone = false
    void pacer.compute(() => undefined).then(() => (isDone = true))
    for (let i = 0; i < 50; i++) await Promise.resolve()
    expect(isDone).toBe(false)
    runtime.advance(20)
    for (let i = 0; i < 50; i++) await Promise.resolve()
    expect(isDone).toBe(true)
  })

  it('a pass continues after a restart, and starts again when its stored position is damaged', async () => {
    const files = await ledgerFiles(10 * 256 + 9)
    const first = await opened(files)
    await pass(first.runtime, 0.55 * PERIOD)
    await first.ledger.close()
    expect(first.reads).toHaveLength(10)
    const now = first.runtime.time
    const second = await opened(files, { saved: first.saved.text as string, now })
    await pass(second.runtime, 0.1 * PERIOD)
    expect(second.reads[0]?.path).toBe('tile/0/005.b64')
    await second.ledger.close()
    for (const text of ['', '{', '{"version":1}', (first.saved.text as string).replace('5', '-5'), 'null']) {
      const third = await opened(files, { saved: text, now })
      await pass(third.runtime, 0.15 * PERIOD)
      expect(third.reads.map(({ path }) => path)).toEqual(['tile/0/000.b64', 'tile/entries/000.b64'])
      await third.ledger.close()
    }
  })

  it('a pass does not stall when the clock was set back', async () => {
    const files = await ledgerFiles(2 * 256 + 9)
    const first = await opened(files)
    await first.ledger.close()
    const now = first.runtime.time - 365 * DAY
    const later = JSON.stringify({ version: 1, started: first.runtime.time, next: 0, findings: [] })
    const second = await opened(files, { saved: later, now })
    await pass(second.runtime, PERIOD)
    expect(second.reads.length).toBeGreaterThan(0)
    await second.ledger.close()
  })
})

/** Damages one file, and describes the damage. */
function damage(files: Files, path: string, kind: string, random: Random): void {
  const bytes = Buffer.from(files.get(path) as Uint8Array)
  const others = [...files.keys()].filter((other) => other !== path && isAlike(other, path))
  switch (kind) {
    case 'flip': {
      const at = random.below(bytes.length)
      bytes[at] = (bytes[at] as number) ^ (1 << random.below(8))
      files.set(path, bytes)
      return
    }
    case 'truncate':
      files.set(path, bytes.subarray(0, random.below(bytes.length)))
      return
    case 'delete':
      files.delete(path)
      return
    default: {
      const other = others[random.below(others.length)] as string
      const text = files.get(other) as Uint8Array
      files.set(other, bytes)
      files.set(path, text)
    }
  }
}

function isAlike(a: string, b: string): boolean {
  return a.replace(/[^/]*$/, '') === b.replace(/[^/]*$/, '')
}

/** Returns the paths whose bytes differ. */
function differing(before: Files, after: Files): string[] {
  return [...before]
    .filter(([path, bytes]) => !Buffer.from(bytes).equals(after.get(path) ?? Buffer.of()))
    .map(([path]) => path)
}

describe.each(['grow', 'each'] as const)('with tail files in the mode %s, the check', (tailMode) => {
  it('the check finds each of 16 seeded damages, and reports no other file', async () => {
    const files = await ledgerFiles(6 * 256 + 17, tailMode)
    const sealed = [...files.keys()].filter((path) => path.startsWith('tile/'))
    const random = new Random(20)
    for (let round = 0; round < 16; round++) {
      const kind = ['flip', 'truncate', 'delete', 'swap'][round % 4] as string
      const path = sealed[random.below(sealed.length)] as string
      const damaged = new Map(files)
      damage(damaged, path, kind, random)
      // In half of the rounds the damage is there when the ledger is opened; in the others it comes later.
      const isEarly = round % 8 < 4
      const place = isEarly ? damaged : files
      const one = await opened(place, { periodMs: 20_000, tailMode }).catch((error: unknown) => {
        // A ledger without its last bundle cannot be opened.
        expect(error).toMatchObject({ code: 'corrupt' })
        expect(differing(files, damaged)).toEqual(['tile/entries/005.b64'])
      })
      if (one === undefined) continue
      if (!isEarly) {
        one.disk.clear()
        for (const [name, bytes] of damaged) one.disk.set(name, bytes)
      }
      await pass(one.runtime, 45_000, 250)
      const status = one.ledger.status()
      // The sealer compares the last bundles when a ledger is opened, and refuses a damaged one.
      const isRefused = (name: string): boolean => status.reason === `${name}: other bytes are sealed`
      const expected = differing(files, damaged)
        .filter((name) => !isRefused(name))
        .sort()
      expect(one.findings.map((finding) => finding.path).sort(), `${round} ${kind} ${path}`).toEqual(expected)
      expect(one.ledger.status().scrub?.damaged).toBe(expected.length)
      await one.ledger.close()
    }
  })
})

describe('a finding', () => {
  const PATH = 'tile/entries/001.b64'

  it('damage is recorded once across passes and restarts, and once more when it is repaired', async () => {
    const files = await ledgerFiles(3 * 256 + 9)
    const first = await opened(files, { periodMs: DAY })
    first.disk.delete(PATH)
    await pass(first.runtime, 5 * DAY)
    const events = (await entries(first.ledger)).filter(({ event }) => event !== 'passed')
    expect(events).toEqual([
      {
        event: 'damaged',
        expected: expect.stringContaining('the hash ') as string,
        found: 'none',
        path: PATH,
      },
    ])
    expect(first.findings).toHaveLength(1)
    await first.ledger.close()
    const second = await opened(files, {
      periodMs: DAY,
      saved: first.saved.text as string,
      now: first.runtime.time,
    })
    second.disk.delete(PATH)
    await pass(second.runtime, 3 * DAY)
    expect((await entries(second.ledger)).filter(({ event }) => event !== 'passed')).toEqual([])
    second.disk.set(PATH, files.get(PATH) as Uint8Array)
    await pass(second.runtime, DAY / 6)
    expect(second.repaired).toEqual([PATH])
    expect((await entries(second.ledger)).at(-1)).toEqual({ event: 'repaired', path: PATH })
    expect(second.ledger.status().scrub?.damaged).toBe(0)
    await second.ledger.close()
  })

  it('damage to a tile and its bundle that were replaced together is reported', async () => {
    const files = await ledgerFiles(6 * 256 + 9)
    const swapped = new Map(files)
    for (const folder of ['tile/0', 'tile/entries']) {
      swapped.set(`${folder}/002.b64`, files.get(`${folder}/003.b64`) as Uint8Array)
      swapped.set(`${folder}/003.b64`, files.get(`${folder}/002.b64`) as Uint8Array)
    }
    const { ledger, runtime, findings } = await opened(swapped, { periodMs: 20_000 })
    await pass(runtime, 30_000, 200)
    expect(findings).toEqual([
      {
        path: 'tile/0/000.b64',
        expected: expect.stringMatching(/over the tiles 0 to 3 of its level/) as string,
        found: 'another hash over them',
      },
    ])
    await ledger.close()
  })

  it('a failure of the disk does not end the check', async () => {
    const files = await ledgerFiles(3 * 256 + 9)
    const fails = async (name: SealedName): Promise<Uint8Array | undefined> => {
      if (name.kind === 'bundle' && name.index === 1) throw Object.assign(new Error('EIO'), { code: 'io' })
      return files.get(formatObjectName(name))
    }
    const { ledger, runtime, findings } = await opened(files, { periodMs: 20_000, read: fails })
    await pass(runtime, 30_000, 200)
    expect(findings).toMatchObject([{ path: PATH, found: 'an I/O error' }])
    expect(ledger.status().scrub?.passed).toBeDefined()
    await ledger.close()
  })

  it('the check tries again later when it cannot open a file', async () => {
    const files = await ledgerFiles(2 * 256 + 9)
    let left = 3
    const fails = async (name: SealedName): Promise<Uint8Array | undefined> => {
      if (left-- > 0) throw Object.assign(new Error('too many open files'), { code: 'EMFILE' })
      return files.get(formatObjectName(name))
    }
    const { ledger, runtime, findings } = await opened(files, { periodMs: 300_000, read: fails })
    await pass(runtime, 10 * 60_000, 2000)
    expect([findings, left < 0, ledger.status().scrub?.damaged]).toEqual([[], true, 0])
    expect(ledger.status().scrub?.passed).toBeDefined()
    await ledger.close()
  })
})

/** Returns the entries other than those at the end of a pass. */
async function findingEvents(ledger: Ledger): Promise<unknown[]> {
  return (await entries(ledger))
    .filter(({ event }) => event !== 'passed')
    .map(({ event, path }) => [event, path])
}

describe('the check of a second tree in a pass', () => {
  const HASH = treeDigests['sha3-256']
  const TILE = 'tile/0/001.b64'
  const PATH = `sha3-256/${TILE}`

  /** Returns the tiles of a second tree over the sealed bundles. */
  function tilesOver(files: Files): Files {
    const tiles: Files = new Map()
    const tree = new HashTree(HASH)
    for (let bundle = 0; ; bundle++) {
      const text = files.get(formatObjectName({ kind: 'bundle', index: bundle }))
      if (text === undefined) return tiles
      for (const line of Buffer.from(text).toString().split('\n').slice(0, 256))
        tree.append(Buffer.from(line, 'base64'), (level, index, hashes) =>
          tiles.set(formatObjectName({ kind: 'tile', level, index }), tileLines(hashes, HASH.bytes)),
        )
    }
  }

  function checkOf(tiles: Files, runtime = new TestRuntime()): SecondTreeCheck {
    return new TreeCheck({
      algorithm: 'sha3-256',
      hash: HASH,
      size: 3 * 256,
      runtime,
      async read(name, pause) {
        const bytes = tiles.get(formatObjectName(name))
        if (bytes !== undefined) await pause(bytes.length)
        return bytes
      },
    })
  }

  it('a damaged tile of a second tree is a finding, and its repair is recorded', async () => {
    const files = await ledgerFiles(3 * 256 + 9)
    const right = tilesOver(files)
    const tiles = new Map(right)
    damage(tiles, TILE, 'flip', new Random(4))
    const trees = async (): Promise<SecondTreeCheck[]> => [checkOf(tiles)]
    const first = await opened(files, { periodMs: DAY, trees })
    await pass(first.runtime, 2 * DAY)
    expect(first.findings).toMatchObject([{ path: PATH }])
    expect(await findingEvents(first.ledger)).toEqual([['damaged', PATH]])
    expect(first.ledger.status().scrub?.damaged).toBe(1)
    expect((await entries(first.ledger)).at(-1)).toMatchObject({ event: 'passed', bundles: 3, damaged: 1 })
    await first.ledger.close()

    // After a restart, the finding is known before the tree has been checked again.
    const options = { periodMs: DAY, saved: first.saved.text as string, now: first.runtime.time }
    const second = await opened(files, { ...options, trees })
    await pass(second.runtime, DAY / 6)
    expect(second.ledger.status().scrub?.damaged).toBe(1)
    tiles.set(TILE, right.get(TILE) as Uint8Array)
    await pass(second.runtime, DAY / 6)
    expect(second.repaired).toEqual([PATH])
    expect(await findingEvents(second.ledger)).toEqual([['repaired', PATH]])
    expect(second.ledger.status().scrub?.damaged).toBe(0)
    await second.ledger.close()
  })

  it('a finding ends without an entry when the folder of the tree is gone', async () => {
    const files = await ledgerFiles(3 * 256 + 9)
    const trees = [checkOf(new Map())]
    const { ledger, runtime, repaired } = await opened(files, { periodMs: DAY, trees: async () => trees })
    await pass(runtime, 2 * DAY)
    expect(ledger.status().scrub?.damaged).toBe(3)
    trees.pop()
    await pass(runtime, DAY / 6)
    expect([ledger.status().scrub?.damaged, repaired]).toEqual([0, []])
    await ledger.close()
  })

  it('the check finds a damaged tile of a second tree as soon as its damaged bundle has been repaired', async () => {
    const files = await ledgerFiles(3 * 256 + 9)
    const tiles = tilesOver(files)
    damage(tiles, TILE, 'flip', new Random(5))
    const one = await opened(files, { periodMs: DAY, trees: async () => [checkOf(tiles)] })
    const bundle = 'tile/entries/001.b64'
    one.disk.delete(bundle)
    await pass(one.runtime, 2 * DAY)
    expect(await findingEvents(one.ledger)).toEqual([['damaged', bundle]])
    one.disk.set(bundle, files.get(bundle) as Uint8Array)
    await pass(one.runtime, DAY / 6)
    expect(await findingEvents(one.ledger)).toEqual([
      ['damaged', bundle],
      ['damaged', PATH],
      ['repaired', bundle],
    ])
    await one.ledger.close()
  })
})

describe('the type of the entries', () => {
  it('is reserved', async () => {
    const ledger = await openTestLedger()
    const record = { ...textRecord('a', 'b'), type: 'application/vnd.service-fs.scrub+json; v=1' }
    await expect(ledger.append([record])).rejects.toMatchObject({ code: 'bad-record' })
    await ledger.close()
  })

  it('a scrub entry has a canonical payload', async () => {
    const { codec } = new TestRuntime()
    const text = scrubPayload({ event: 'repaired', path: 'tile/0/000.b64' }, codec)
    expect(Buffer.from(text).toString()).toBe('{"event":"repaired","path":"tile/0/000.b64"}')
  })
})
