import type { StorageCapability } from '@service-fs/storage/capability'
import { MemoryStorage } from '@service-fs/storage/memory'
import { openCheckpoint } from '@service-fs/tlog/checkpoint'
import { nobleHasher } from '@service-fs/tlog/hash'
import { verifierFromVkey } from '@service-fs/tlog/keys'
import { verifyConsistency, verifyInclusion } from '@service-fs/tlog/proof'
import { parseTlogProof } from '@service-fs/tlog/tlog-proof'
import { describe, expect, it, vi } from 'vitest'
import { LedgerError } from './errors.ts'
import type { Ledger } from './ledger.ts'
import { MemoryIndex } from './record-index.ts'
import type { NewRecord } from './record.ts'
import { openTestLedger, TEST_ORIGIN, testSigner, TestRuntime, textRecord } from './testing.ts'
import * as native from './testing-native.ts'

const utf8 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8')
const batch = (from: number, count: number): NewRecord[] =>
  Array.from({ length: count }, (_, i) => textRecord(`r${from + i}`, `text ${from + i}`))
const code = async (promise: Promise<unknown>): Promise<string | undefined> => {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  )
  return error instanceof LedgerError ? error.code : String(error)
}

function checkpointOf(ledger: Ledger): { size: number; root: string } {
  return openCheckpoint(ledger.checkpoint(), [verifierFromVkey(testSigner().vkey)], TEST_ORIGIN).checkpoint
}

describe.each(['grow', 'each'] as const)('a ledger whose tail is kept in %s mode', (tailMode) => {
  it('starts empty, with a signed checkpoint of size 0 and the files that describe it', async () => {
    const storage = new MemoryStorage({ tailMode })
    const ledger = await openTestLedger({ storage })
    expect(checkpointOf(ledger).size).toBe(0)
    expect([...storage.dump().keys()]).toEqual([
      'README.txt',
      'checkpoint',
      'keys/ed25519.vkey',
      'origin',
      'verify.sh',
    ])
    await ledger.close()
  })

  it('returns appended records, with proofs, across restarts and crashes', async () => {
    let storage = new MemoryStorage({ tailMode })
    let ledger = await openTestLedger({ storage })
    const roots = new Map<number, string>()
    let size = 0
    while (size < 1400) {
      const count = 1 + ((size * 7) % 61)
      const { entries, checkpoint } = await ledger.append(batch(size, count))
      expect(entries.map(({ index }) => index)).toEqual(entries.map((_, i) => size + i))
      expect(checkpoint).toBe(ledger.checkpoint())
      size += count
      roots.set(size, checkpointOf(ledger).root)
      if (size % 3 !== 0) continue
      if (size % 2 === 0) await ledger.close()
      // Without close(), the storage is as a killed process leaves it.
      storage = new MemoryStorage({ tailMode, files: storage.dump() })
      ledger = await openTestLedger({ storage })
      expect(checkpointOf(ledger)).toMatchObject({ size, root: roots.get(size) })
    }
    for (let index = 0; index < size; index += 17) {
      expect(await ledger.record(index)).toMatchObject({ id: `r${index}`, type: 'text/plain', parts: 1 })
      expect(utf8((await ledger.recordById(`r${index}`)).payload)).toBe(`text ${index}`)
    }
    const sizes = [...roots.keys()]
    for (const to of sizes) {
      const index = (to * 31) % to
      const { leafHash, rootHash, hashes } = await ledger.inclusionProof(index, to)
      expect(rootHash).toBe(roots.get(to))
      verifyInclusion({ index, size: to, leafHash, root: rootHash, proof: hashes }, nobleHasher)
      const from = sizes[sizes.indexOf(to) >> 1] ?? to
      const proof = (await ledger.consistencyProof(from, to)).hashes
      verifyConsistency({ from, to, fromRoot: roots.get(from) ?? '', toRoot: rootHash, proof }, nobleHasher)
    }
    await ledger.close()
  })

  it('seals full bundles and the tiles above, and checks them when it reads them', async () => {
    const storage = new MemoryStorage({ tailMode })
    let ledger = await native.openTestLedger({ storage })
    for (let size = 0; size < 66_000; size += 4096) await ledger.append(batch(size, 4096))
    await ledger.close()
    const names = [...storage.dump().keys()]
    expect(names.filter((name) => name.startsWith('tile/0/'))).toHaveLength(Math.floor(ledger.size / 256))
    expect(names).toContain('tile/1/000.b64')
    const reopened = new MemoryStorage({ tailMode, files: storage.dump() })
    ledger = await native.openTestLedger({ storage: reopened })
    const root = checkpointOf(ledger).root
    for (const index of [0, 255, 256, 65_535, 65_536, ledger.size - 1]) {
      const { leafHash, hashes } = await ledger.inclusionProof(index, ledger.size)
      verifyInclusion({ index, size: ledger.size, leafHash, root, proof: hashes }, nobleHasher)
      expect((await ledger.record(index)).id).toBe(`r${index}`)
    }
    expect(await ledger.hashTile(2, 0, 1)).toHaveLength(1)
    expect(await code(ledger.hashTile(2, 0, 2))).toBe('not-found')
    await ledger.append(batch(ledger.size, 1))
    await ledger.close()
  })

  it('splits large records over consecutive entries of one commit and joins them', async () => {
    const storage = new MemoryStorage({ tailMode })
    let ledger = await openTestLedger({ storage })
    const payload = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 31) % 251)
    const { entries } = await ledger.append([
      textRecord('a', 'small'),
      { id: 'b', type: 'application/octet-stream', payload },
      textRecord('c', 'small'),
    ])
    expect(entries.map(({ index, parts }) => [index, parts])).toEqual([
      [0, 1],
      [1, 4],
      [5, 1],
    ])
    await ledger.close()
    ledger = await openTestLedger({ storage: new MemoryStorage({ tailMode, files: storage.dump() }) })
    expect(Buffer.compare((await ledger.record(1)).payload, payload)).toBe(0)
    expect(await code(ledger.record(2))).toBe('not-a-record')
    const ids: string[] = []
    for await (const record of ledger.records(2)) ids.push(record.id)
    expect(ids).toEqual(['c'])
    await ledger.close()
  })
})

describe('the payload_id rule', () => {
  it('returns the place of an identical record, and rejects a different one with the same id', async () => {
    const storage = new MemoryStorage()
    let ledger = await openTestLedger({ storage })
    const first = await ledger.append([textRecord('a', 'one')])
    const again = await ledger.append([textRecord('a', 'one')])
    expect(again.entries).toEqual([{ ...first.entries[0], duplicate: true }])
    expect(ledger.size).toBe(1)
    for (const other of [textRecord('a', 'two'), { ...textRecord('a', 'one'), type: 'text/html' }]) {
      await expect(ledger.append([other])).rejects.toMatchObject({ code: 'conflict', index: 0 })
    }
    await ledger.close()
    ledger = await openTestLedger({ storage: new MemoryStorage({ files: storage.dump() }) })
    expect((await ledger.append([textRecord('a', 'one')])).entries[0]?.duplicate).toBe(true)
    await expect(ledger.append([textRecord('a', 'two')])).rejects.toMatchObject({
      code: 'conflict',
      index: 0,
    })
    await ledger.close()
  })

  it('applies while the first append is running, and within a batch', async () => {
    const ledger = await openTestLedger()
    const results = await Promise.allSettled([
      ledger.append([textRecord('a', 'one')]),
      ledger.append([textRecord('a', 'one'), textRecord('b', 'two')]),
      ledger.append([textRecord('b', 'three')]),
      ledger.append([textRecord('c', 'x'), textRecord('c', 'x')]),
      ledger.append([textRecord('d', 'x'), textRecord('d', 'y')]),
    ])
    const value = (at: number): unknown =>
      results[at]?.status === 'fulfilled'
        ? results[at].value.entries.map(({ index, duplicate }) => [index, duplicate])
        : results[at]?.reason
    expect(value(0)).toEqual([[0, false]])
    expect(value(3)).toEqual([
      [expect.any(Number), false],
      [expect.any(Number), true],
    ])
    // Both appends found 'b' unused. The first to commit wins; the other is rejected.
    expect([results[1]?.status, results[2]?.status].sort()).toEqual(['fulfilled', 'rejected'])
    expect(value(4)).toMatchObject({ code: 'conflict' })
    const ids: string[] = []
    for await (const record of ledger.records(0)) ids.push(record.id)
    expect(ids.sort()).toEqual(['a', 'b', 'c'])
    await ledger.close()
  })
})

describe('limits and failures', () => {
  it('rejects large records, large batches and indexes beyond the tree, each with its code', async () => {
    const ledger = await openTestLedger({ limits: { maxPayloadBytes: 10, maxBatchRecords: 2 } })
    expect(await code(ledger.append([]))).toBe('bad-record')
    expect(await code(ledger.append([textRecord('', 'x')]))).toBe('bad-record')
    expect(await code(ledger.append([textRecord('a\nb', 'x')]))).toBe('bad-record')
    expect(await code(ledger.append([textRecord('a', 'x'.repeat(11))]))).toBe('too-large')
    expect(await code(ledger.append(batch(0, 3)))).toBe('too-large')
    expect(await code(ledger.record(0))).toBe('not-found')
    expect(await code(ledger.recordById('a'))).toBe('not-found')
    expect(await code(ledger.inclusionProof(0, 1))).toBe('range')
    expect(await code(ledger.consistencyProof(1, 0))).toBe('range')
    expect(ledger.size).toBe(0)
    await ledger.close()
    expect(await code(ledger.append([textRecord('a', 'x')]))).toBe('closed')
  })

  it('bounds the queue', async () => {
    const ledger = await openTestLedger({ limits: { queueEntries: 8 } })
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) => ledger.append([textRecord(`a${i}`, 'x')])),
    )
    const busy = results.filter((result) => result.status === 'rejected')
    expect(busy.length).toBeGreaterThan(0)
    for (const result of busy) expect(result.reason).toMatchObject({ code: 'busy' })
    expect(ledger.size).toBe(results.length - busy.length)
    await ledger.close()
  })

  it('repeats the time when the clock steps back a little, and rejects appends when it is far behind', async () => {
    const runtime = new TestRuntime()
    const storage = new MemoryStorage()
    let ledger = await openTestLedger({ runtime, storage })
    const time = async (id: string): Promise<string | undefined> =>
      (await ledger.append([textRecord(id, id)])).entries[0]?.time
    expect(await time('a')).toBe('2026-11-22T18:43:00.000Z')
    runtime.time -= 9_000
    expect(await time('b')).toBe('2026-11-22T18:43:00.000Z')
    expect(ledger.status().timesRepeated).toBe(1)
    await ledger.close()
    ledger = await openTestLedger({ runtime, storage: new MemoryStorage({ files: storage.dump() }) })
    runtime.time -= 2_000
    expect(await code(ledger.append([textRecord('c', 'c')]))).toBe('clock-behind')
    runtime.time += 60_000
    expect(await time('c')).toBe('2026-11-22T18:43:49.000Z')
    await ledger.close()
  })

  it('waits for the sealer when it is far behind because of a slow disk', async () => {
    const storage = new MemoryStorage()
    const slow = Object.assign(Object.create(storage), {
      tailMode: 'grow',
      read: storage.read.bind(storage),
      seal: storage.seal.bind(storage),
      commit: storage.commit.bind(storage),
      beginTail: storage.beginTail.bind(storage),
      tail: storage.tail.bind(storage),
      close: storage.close.bind(storage),
      publish: async (checkpoint: Uint8Array) => {
        await new Promise((resolve) => setTimeout(resolve, 20))
        await storage.publish(checkpoint)
      },
    }) as StorageCapability
    const ledger = await native.openTestLedger({ storage: slow, limits: { queueEntries: 100_000 } })
    await Promise.all(Array.from({ length: 8 }, (_, i) => ledger.append(batch(i * 4096, 4096))))
    expect(ledger.size).toBe(8 * 4096)
    await ledger.close()
  })

  it('closes while the index is being rebuilt, without scanning the whole ledger', async () => {
    const storage = new MemoryStorage()
    const ledger = await native.openTestLedger({ storage })
    for (let size = 0; size < 36_000; size += 4000) await ledger.append(batch(size, 4000))
    await ledger.close()
    const index = new MemoryIndex()
    const again = await native.openTestLedger({
      storage: new MemoryStorage({ files: storage.dump() }),
      index,
    })
    const put = vi.spyOn(index, 'put')
    await again.close()
    expect(put.mock.calls.length).toBeLessThan(2)
    await expect(again.ready()).rejects.toMatchObject({ code: 'closed' })
  })

  it('publishes the checkpoint within a second of a commit', async () => {
    const runtime = new TestRuntime()
    const storage = new MemoryStorage()
    const ledger = await openTestLedger({ runtime, storage })
    await ledger.append([textRecord('a', 'one')])
    const cell = (): string => utf8(storage.dump().get('checkpoint') ?? new Uint8Array())
    expect(cell()).not.toBe(ledger.checkpoint())
    runtime.advance(999)
    await expect.poll(cell, { interval: 1 }).toBe(ledger.checkpoint())
    await ledger.close()
  })

  it('rejects a batch whose checkpoint cannot be signed, and keeps appending', async () => {
    const signer = testSigner()
    let broken = false
    const flaky = {
      vkey: signer.vkey,
      sign: (text: string) => (broken ? Promise.reject(new Error('token removed')) : signer.sign(text)),
    }
    const ledger = await openTestLedger({ signer: flaky })
    await ledger.append([textRecord('a', 'one')])
    broken = true
    expect(await code(ledger.append([textRecord('b', 'two')]))).toBe('signer')
    broken = false
    expect((await ledger.append([textRecord('b', 'two')])).entries[0]).toMatchObject({
      index: 1,
      duplicate: false,
    })
    await ledger.close()
  })

  it('returns a proof whose extra is the header of the entry', async () => {
    const ledger = await openTestLedger()
    await ledger.append(batch(0, 5))
    const proof = parseTlogProof(await ledger.tlogProof(3))
    expect(proof.index).toBe(3)
    expect(utf8(proof.extra ?? new Uint8Array())).toBe(
      'service-fs/entry/v1\nid: r3\ntype: text/plain\ntime: 2026-11-22T18:43:00.000Z\n\n',
    )
    await ledger.close()
  })
})

it('a ledger compares a batch that is repeated before its commit ends, in linear time', async () => {
  const ledger = await openTestLedger()
  const count = 500
  let reads = 0
  const records = batch(0, count).map(({ id, ...rest }) => ({
    ...rest,
    get id() {
      reads += 1
      return id
    },
  }))
  const [first, again] = await Promise.all([ledger.append(records), ledger.append(records)])
  expect(again.entries).toEqual(first.entries.map((entry) => ({ ...entry, duplicate: true })))
  expect(reads).toBeLessThan(50 * count)
  await ledger.close()
})

it('a ledger calls its observer when an append begins and when it resolves', async () => {
  const seen: string[] = []
  const appending = (): (() => void) => {
    seen.push('begun')
    return () => seen.push('answered')
  }
  const ledger = await openTestLedger({ observer: { appending } })
  await ledger.append([textRecord('a', 'one')])
  expect(await code(ledger.append([textRecord('a', 'two')]))).toBe('conflict')
  expect(seen).toEqual(['begun', 'answered', 'begun', 'answered'])
  await ledger.close()
})

it('a ledger gives other work a turn while it reads records that are in memory', async () => {
  let turns = 0
  class Slow extends TestRuntime {
    override monotonic(): number {
      return (this.time += 1)
    }

    override turn(): Promise<void> {
      turns += 1
      return Promise.resolve()
    }
  }
  const ledger = await openTestLedger({ runtime: new Slow() })
  await ledger.append(batch(0, 200))
  const before = turns
  for await (const { id } of ledger.records(0)) expect(id).toMatch(/^r\d+$/)
  expect(turns - before).toBeGreaterThanOrEqual(10)
  await ledger.close()
})
