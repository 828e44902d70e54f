import { MemoryStorage } from '@service-fs/storage/memory'
import { bundleToBinary, hashTileToBinary } from '@service-fs/tlog/tile-text'
import { nativeHasher } from '@service-fs/native/native'
import { verifyConsistency, verifyInclusion } from '@service-fs/tlog/proof'
import { tileWidth } from '@service-fs/tlog/tile'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { QUICK } from '../../../test/support/quick.ts'
import { BinaryBundle } from './binary-bundle.ts'
import { BinaryTiles } from './binary-tiles.ts'
import type { Ledger } from './ledger.ts'
import { recover } from './recover.ts'
import { SealedTiles } from './sealed-tiles.ts'
import { TestRuntime as PlainRuntime } from './testing.ts'
import {
  openTestLedger,
  TEST_ORIGIN,
  TestRuntime,
  testSigner,
  testVerifier,
  textRecord,
} from './testing-native.ts'

const FULL = 256

async function filled(storage: MemoryStorage, entries: number): Promise<Ledger> {
  const ledger = await openTestLedger({ storage })
  for (let i = 0; i < entries; i += 100)
    await ledger.append(
      Array.from({ length: Math.min(100, entries - i) }, (_, j) =>
        textRecord(`r${i + j}`, 'some text'.repeat((i + j) % 7)),
      ),
    )
  return ledger
}

/** A storage whose sealed objects a test can damage, and which counts its reads of them. */
class DamagedStorage extends MemoryStorage {
  readonly damaged = new Set<string>()
  readonly reads: string[] = []

  override async read(name: Parameters<MemoryStorage['read']>[0]): Promise<Uint8Array | undefined> {
    const bytes = await super.read(name)
    const key = 'index' in name ? `${'level' in name ? name.level : 'entries'}/${name.index}` : name.kind
    this.reads.push(key)
    if (bytes === undefined || !this.damaged.has(key)) return bytes
    const copy = Uint8Array.from(bytes)
    copy[7] = copy[7] === 65 ? 66 : 65
    return copy
  }
}

describe('a tile in binary', () => {
  it('is the tile of the tree, at every width, sealed or growing', async () => {
    const storage = new MemoryStorage()
    const ledger = await openTestLedger({ storage })
    for (let size = 0; size < 700; size += 7) {
      await ledger.append(Array.from({ length: 7 }, (_, j) => textRecord(`r${size + j}`, `text ${size + j}`)))
      if (QUICK && size % 5 !== 0) continue
      const index = Math.floor((size + 6) / FULL)
      const width = tileWidth(0, index, ledger.size)
      for (const some of new Set([1, Math.ceil(width / 2), width])) {
        const lines: string[] = []
        for (let i = 0; i < some; i++)
          lines.push(Buffer.from(await ledger.entry(index * FULL + i)).toString('base64'))
        const leaves = lines.map((line) => nativeHasher.leaf(Buffer.from(line, 'base64')))
        expect(await ledger.bundleBytes(index, some)).toEqual(bundleToBinary(lines))
        expect(Buffer.from(await ledger.tileBytes(0, index, some))).toEqual(
          Buffer.from(hashTileToBinary(leaves)),
        )
      }
    }
    await ledger.close()
    const files = storage.dump()
    const again = await openTestLedger({ storage: new MemoryStorage({ files }) })
    for (const index of [0, 1]) {
      const lines = (name: string): string[] =>
        Buffer.from(files.get(name) ?? [])
          .toString()
          .trimEnd()
          .split('\n')
      const entries = lines(`tile/entries/00${index}.b64`)
      const hashes = lines(`tile/0/00${index}.b64`)
      for (const width of [FULL, 255, 1, FULL]) {
        expect(await again.bundleBytes(index, width)).toEqual(bundleToBinary(entries.slice(0, width)))
        expect(Buffer.from(await again.tileBytes(0, index, width))).toEqual(
          Buffer.from(hashTileToBinary(hashes.slice(0, width))),
        )
      }
    }
    expect(Buffer.from(await again.tileBytes(1, 0, 2))).toEqual(
      Buffer.from(hashTileToBinary(await again.hashTile(1, 0, 2))),
    )
  })

  it('stays as it was returned while the ledger grows', async () => {
    const ledger = await filled(new MemoryStorage(), 100)
    const [bundle, tile] = [await ledger.bundleBytes(0, 100), await ledger.tileBytes(0, 0, 100)]
    const before = [Buffer.from(bundle).toString('hex'), Buffer.from(tile).toString('hex')]
    for (let i = 100; i < 300; i += 50) {
      await ledger.append(Array.from({ length: 50 }, (_, j) => textRecord(`r${i + j}`, 'more')))
      await ledger.bundleBytes(0, Math.min(FULL, ledger.size))
      await ledger.tileBytes(0, 0, Math.min(FULL, ledger.size))
    }
    expect([Buffer.from(bundle).toString('hex'), Buffer.from(tile).toString('hex')]).toEqual(before)
    expect(Buffer.from(await ledger.bundleBytes(0, 100)).toString('hex')).toBe(before[0])
  })
})

/** Opens a ledger whose cache keeps only the newest item of each kind, and waits until it has read all entries. */
async function openWithoutCache(
  storage: MemoryStorage,
  runtime: PlainRuntime = new TestRuntime(),
): Promise<Ledger> {
  const ledger = await openTestLedger({ storage, runtime, limits: { cacheBytes: 1 } })
  await ledger.ready()
  return ledger
}

describe('a damaged file', () => {
  let files: Map<string, Uint8Array>
  beforeAll(async () => {
    const storage = new MemoryStorage()
    await (await filled(storage, 2000)).close()
    files = storage.dump()
  })

  it.each(['entries', '0'])(
    'of kind %s is refused when it is read, and its cached bytes are the checked ones',
    async (kind) => {
      const storage = new DamagedStorage({ files })
      const ledger = await openWithoutCache(storage)
      const read = (index: number): Promise<Uint8Array> =>
        kind === 'entries' ? ledger.bundleBytes(index, FULL) : ledger.tileBytes(0, index, FULL)
      const sound = await read(1)
      for (const index of [1, 2]) storage.damaged.add(`${kind}/${index}`)
      expect(await read(1)).toEqual(sound)
      const path = kind === 'entries' ? 'tile/entries/002.b64' : 'tile/0/002.b64'
      await expect(read(2)).rejects.toMatchObject({ code: 'corrupt', message: expect.stringContaining(path) })
      storage.damaged.clear()
      expect(await read(2)).toHaveLength(
        kind === 'entries' ? (await ledger.bundleBytes(2, FULL)).length : 8192,
      )
    },
  )

  it('is found again when the cache has dropped its bytes', async () => {
    const storage = new DamagedStorage({ files })
    const ledger = await openWithoutCache(storage)
    const sound = await ledger.bundleBytes(1, FULL)
    storage.damaged.add('entries/1')
    expect(await ledger.bundleBytes(1, FULL)).toEqual(sound)
    await ledger.bundleBytes(2, FULL)
    await expect(ledger.bundleBytes(1, FULL)).rejects.toMatchObject({ code: 'corrupt' })
  })

  it('hides no entry before the damaged one', async () => {
    const storage = new DamagedStorage({ files })
    storage.damaged.add('entries/1')
    const ledger = await openTestLedger({ storage })
    await expect(ledger.bundleBytes(1, 1)).rejects.toMatchObject({ code: 'corrupt', index: 256 })
    await expect(ledger.entry(256)).rejects.toMatchObject({ code: 'corrupt' })
    expect(await ledger.entries(257, 512)).toHaveLength(255)
  })
})

describe('the cache', () => {
  it('stays within its budget, and reads cached items from memory', async () => {
    const made = new MemoryStorage()
    await (await filled(made, 6000)).close()
    const storage = new DamagedStorage({ files: made.dump() })
    const runtime = new TestRuntime()
    const { sealedEdge, memory } = await recover({
      storage,
      origin: TEST_ORIGIN,
      signer: testSigner,
      verifiers: [testVerifier],
      runtime,
    })
    const budget = 256 * 1024
    const sealed = new SealedTiles(storage, runtime, sealedEdge, budget)
    const tiles = new BinaryTiles(sealed, memory, runtime, budget)
    const count = sealedEdge.size / FULL
    expect(count).toBeGreaterThan(20)
    for (let round = 0; round < 2; round++)
      for (let index = 0; index < count; index++) {
        await tiles.bundle(index, FULL)
        await tiles.hashTile(0, index, FULL, () => sealed.tileBytes(0, index))
        expect(tiles.weight).toBeLessThanOrEqual(budget)
      }
    expect(tiles.weight).toBeGreaterThan(budget / 2)
    const { length } = storage.reads
    await tiles.bundle(count - 1, FULL)
    await tiles.hashTile(0, count - 1, FULL, () => sealed.tileBytes(0, count - 1))
    expect(storage.reads).toHaveLength(length)
  })

  it('reads a bundle once for concurrent callers', async () => {
    const made = new MemoryStorage()
    await (await filled(made, 600)).close()
    const storage = new DamagedStorage({ files: made.dump() })
    const ledger = await openWithoutCache(storage)
    storage.reads.length = 0
    const all = await Promise.all(Array.from({ length: 20 }, () => ledger.bundleBytes(1, FULL)))
    expect(new Set(all.map((bytes) => bytes.buffer)).size).toBe(1)
    expect(storage.reads.filter((key) => key === 'entries/1')).toHaveLength(1)
  })
})

describe.each([
  ['a kernel', (): PlainRuntime => new TestRuntime()],
  ['no kernel', (): PlainRuntime => new PlainRuntime()],
])('with %s', (_name, runtime) => {
  const SIZE = 66_200
  let storage: DamagedStorage
  let ledger: Ledger
  beforeAll(async () => {
    const made = new MemoryStorage()
    const filling = await openTestLedger({ storage: made })
    for (let from = 0; from < SIZE; from += 3310)
      await filling.append(Array.from({ length: 3310 }, (_, j) => textRecord(`r${from + j}`, 'text')))
    await filling.close()
    storage = new DamagedStorage({ files: made.dump() })
    ledger = await openWithoutCache(storage, runtime())
  })
  afterEach(() => storage.damaged.clear())

  it('proves entries and sizes of the tree', async () => {
    const { size, root } = ledger.head
    for (const index of [0, 255, 256, 40_000, 65_535, 65_536, 66_000, SIZE - 1]) {
      const leafHash = nativeHasher.leaf(await ledger.entry(index))
      const found = await ledger.inclusionProof(index, size)
      expect(found).toMatchObject({ leafHash, rootHash: root })
      verifyInclusion({ index, size, leafHash, root, proof: found.hashes }, nativeHasher)
    }
    for (const from of [1, 255, 256, 65_535, 65_536, 65_537, 66_100, SIZE]) {
      const { rootHash } = await ledger.inclusionProof(0, from)
      const { hashes } = await ledger.consistencyProof(from, size)
      verifyConsistency({ from, to: size, fromRoot: rootHash, toRoot: root, proof: hashes }, nativeHasher)
    }
  })

  it.each(['0', '1'])('detects a byte of a tile of level %s that changes after a proof', async (level) => {
    const prove = (index: number): Promise<unknown> => ledger.inclusionProof(index, SIZE)
    await prove(300)
    storage.damaged.add(level === '0' ? '0/1' : '1/0')
    // This tile takes the place of the others in the cache. Its hash is in the open tile above it.
    await ledger.hashTile(0, 257, FULL)
    await expect(prove(300)).rejects.toMatchObject({ code: 'corrupt' })
    storage.damaged.clear()
    await prove(300)
  })

  it('detects a byte of an entry that changes after the read of another one in its bundle', async () => {
    const sound = await ledger.entry(257)
    storage.damaged.add('entries/1')
    // Drops the text from the cache.
    await ledger.entry(1)
    await expect(ledger.entry(256)).rejects.toMatchObject({ code: 'corrupt', index: 256 })
    expect(await ledger.entry(257)).toEqual(sound)
  })
})

describe('a binary bundle', () => {
  it('rejects an entry over 65,535 bytes and the 257th', () => {
    const bundle = new BinaryBundle(0)
    expect(() => bundle.push(new Uint8Array(65_536))).toThrow(RangeError)
    for (let i = 0; i < FULL; i++) bundle.push(new Uint8Array(i === 3 ? 65_535 : i % 3))
    expect(() => bundle.push(new Uint8Array())).toThrow(RangeError)
    expect([bundle.width, bundle.entry(3).length, bundle.entry(255).length]).toEqual([FULL, 65_535, 0])
  })
})
