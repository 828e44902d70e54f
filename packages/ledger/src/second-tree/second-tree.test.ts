import { createHash } from 'node:crypto'
import { bindingIn, isBindingProblem, TREE_TYPE, type TreeBinding } from '@service-fs/format/tree-binding'
import { parseEntry } from '@service-fs/format/entry'
import { nativeCodec, nativeCrypto } from '@service-fs/native/native'
import { treeDigests } from '@service-fs/native/tree-digests'
import type { StorageCapability } from '@service-fs/storage/capability'
import { FaultyDisk } from '@service-fs/storage/faulty'
import { MemoryStorage } from '@service-fs/storage/memory'
import { Random } from '@service-fs/storage/random'
import { openCheckpoint } from '@service-fs/tlog/checkpoint'
import { rootForm } from '@service-fs/tlog/hash-tree'
import { verifierFromVkey } from '@service-fs/tlog/keys'
import { describe, expect, it } from 'vitest'
import type { Ledger } from '../ledger.ts'
import { testSigner } from '../testing.ts'
import { openTestLedger, TEST_ORIGIN, TestRuntime, textRecord } from '../testing-native.ts'
import { SecondTree, type SecondTreeOptions, type SecondTreeStatus } from './second-tree.ts'

/** `npm test` tries some of the steps; see test/sets.mjs. */
const QUICK = process.env['QUICK'] === '1'

const ALGORITHM = 'sha3-256'
const ORIGIN = `${TEST_ORIGIN}/${ALGORITHM}`
const SIGNER = testSigner(ORIGIN, 9, nativeCrypto)
const VERIFIER = verifierFromVkey(SIGNER.vkey, nativeCrypto)

/** A runtime whose timers fire at once and advance its clock. */
class HastyRuntime extends TestRuntime {
  override after(ms: number, run: () => void): () => void {
    const timer = setImmediate(() => {
      this.time += ms
      run()
    })
    return () => clearImmediate(timer)
  }

  override turn(): Promise<void> {
    return new Promise((resolve) => void setImmediate(resolve))
  }
}

function sha3(data: Uint8Array): Buffer {
  return createHash('sha3-256').update(data).digest()
}

/** Returns the Merkle tree hash MTH(D[n]) of RFC 9162 section 2.1.1. */
function merkleRoot(entries: readonly Uint8Array[]): Buffer {
  if (entries.length === 0) return sha3(new Uint8Array())
  if (entries.length === 1) return sha3(Buffer.concat([Buffer.from([0]), entries[0] as Uint8Array]))
  let k = 1
  while (k * 2 < entries.length) k *= 2
  const [left, right] = [entries.slice(0, k), entries.slice(k)]
  return sha3(Buffer.concat([Buffer.from([1]), merkleRoot(left), merkleRoot(right)]))
}

function rootOf(entries: readonly Uint8Array[]): string {
  return merkleRoot(entries).toString('base64')
}

async function grow(ledger: Ledger, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1000) {
    const first = ledger.size
    const batch = Array.from({ length: Math.min(1000, count - i) }, (_, j) =>
      textRecord(`r${first + j}`, `text ${first + j}`),
    )
    await ledger.append(batch)
  }
}

async function ledgerOf(records: number): Promise<Ledger> {
  const ledger = await openTestLedger()
  await ledger.ready()
  await grow(ledger, records)
  return ledger
}

async function entriesOf(ledger: Ledger): Promise<Uint8Array[]> {
  const found: Uint8Array[] = []
  while (found.length < ledger.size) found.push(...(await ledger.entries(found.length, ledger.size)))
  return found
}

function newStorage(files?: Iterable<readonly [string, Uint8Array]>): MemoryStorage {
  return new MemoryStorage({ ...(files === undefined ? {} : { files }), hashBytes: 32 })
}

function treeOver(
  log: SecondTreeOptions['log'],
  storage: StorageCapability,
  options: Partial<SecondTreeOptions> = {},
): SecondTree {
  return new SecondTree({
    algorithm: ALGORITHM,
    origin: ORIGIN,
    hash: treeDigests[ALGORITHM],
    log,
    storage,
    signer: SIGNER,
    verifier: VERIFIER,
    runtime: new HastyRuntime(),
    ...options,
  })
}

/** Resolves when the tree's status fulfils the condition, or the tree has failed. */
async function until(tree: SecondTree, is: (status: SecondTreeStatus) => boolean): Promise<SecondTreeStatus> {
  for (;;) {
    const status = tree.status()
    if (is(status) || status.state === 'failed') return status
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Starts the tree, and resolves when the log binds it and its checkpoint covers the whole log. */
async function kept(tree: SecondTree, log: { size: number }): Promise<SecondTreeStatus> {
  tree.start()
  return until(tree, ({ state, signed }) => state === 'kept' && signed === log.size)
}

interface Found {
  placed: { index: number; binding: TreeBinding }[]
  /** The size of the tree's checkpoint; undefined if the tree has no checkpoint. */
  signed: number | undefined
}

/** Compares the files of the tree with the entries of the log, like `verify`. */
async function check(files: (path: string) => Uint8Array | undefined, ledger: Ledger): Promise<Found> {
  const entries = await entriesOf(ledger)
  const text = (path: string): string | undefined => {
    const bytes = files(path)
    return bytes && Buffer.from(bytes).toString()
  }
  const placed: Found['placed'] = []
  for (const [index, entry] of entries.entries()) {
    const binding = bindingIn(parseEntry(entry, nativeCodec), nativeCodec)
    if (binding === undefined) continue
    if (isBindingProblem(binding)) throw new Error(JSON.stringify(binding))
    placed.push({ index, binding })
    const { size } = binding
    expect(size).toBeLessThanOrEqual(index)
    expect(binding).toMatchObject({ root: rootOf(entries.slice(0, size)), vkey: SIGNER.vkey, origin: ORIGIN })
    const { rootHash } = await ledger.inclusionProof(0, size)
    expect(binding.sha256Root).toBe(rootHash)
  }
  for (const [path, expected] of [
    ['origin', `${ORIGIN}\n`],
    ['keys/ed25519.vkey', `${SIGNER.vkey}\n`],
  ] as const) {
    const found = text(path)
    if (placed.length > 0 || found !== undefined) expect(found).toBe(expected)
  }
  const note = text('checkpoint')
  if (note === undefined) {
    expect(placed).toEqual([])
    return { placed, signed: undefined }
  }
  const { checkpoint } = openCheckpoint(note, [VERIFIER], ORIGIN, rootForm(treeDigests[ALGORITHM]))
  const { size, root } = checkpoint
  expect(size).toBeLessThanOrEqual(entries.length)
  expect(root).toBe(rootOf(entries.slice(0, size)))
  for (let tile = 0; (tile + 1) * 256 <= size; tile++) {
    const leaves = entries.slice(tile * 256, tile * 256 + 256).map((entry) => `${rootOf([entry])}\n`)
    expect(text(`tile/0/${String(tile).padStart(3, '0')}.b64`)).toBe(leaves.join(''))
  }
  return { placed, signed: size }
}

function reader(storage: MemoryStorage): (path: string) => Uint8Array | undefined {
  const files = storage.dump()
  return (path) => files.get(path)
}

describe('a second tree', () => {
  it.each([1, 255, 256, 1000])('a second tree is built over %i entries and bound', async (count) => {
    const ledger = await ledgerOf(count)
    const storage = newStorage()
    const tree = treeOver(ledger, storage)
    const status = await kept(tree, ledger)
    await tree.stop()
    expect(status).toEqual({
      state: 'kept',
      size: count + 1,
      signed: count + 1,
      bound: { index: count, size: count },
    })
    const { placed, signed } = await check(reader(storage), ledger)
    expect([placed.length, signed]).toEqual([1, count + 1])
    await ledger.close()
  })

  it('a second tree of an empty ledger is bound', async () => {
    const ledger = await ledgerOf(0)
    const tree = treeOver(ledger, newStorage())
    expect((await kept(tree, ledger)).bound).toEqual({ index: 0, size: 0 })
    await tree.stop()
    await ledger.close()
  })

  it('a second tree follows the log and is bound again', async () => {
    const ledger = await ledgerOf(300)
    const storage = newStorage()
    const tree = treeOver(ledger, storage, { rebindEntries: 1000 })
    await kept(tree, ledger)
    await grow(ledger, 900)
    const before = await until(tree, ({ signed }) => signed === ledger.size)
    expect(before.bound).toEqual({ index: 300, size: 300 })
    await grow(ledger, 500)
    await until(tree, ({ signed }) => signed === ledger.size)
    await tree.stop()
    const { placed, signed } = await check(reader(storage), ledger)
    expect(placed.length).toBe(2)
    expect(placed[1]?.binding.size).toBeGreaterThanOrEqual(1300)
    expect(signed).toBe(ledger.size)
    await ledger.close()
  })

  it('a second tree continues after a restart from its signed checkpoint, and reads only the entries after its bundles', async () => {
    const ledger = await ledgerOf(2000)
    const first = newStorage()
    const tree = treeOver(ledger, first)
    await kept(tree, ledger)
    await tree.stop()
    await grow(ledger, 300)
    const storage = newStorage(first.dump())
    let lowest = Number.POSITIVE_INFINITY
    const log = watched(ledger, (from) => (lowest = Math.min(lowest, from)))
    const again = treeOver(log, storage)
    await kept(again, ledger)
    await again.stop()
    expect(lowest).toBe(1792)
    const { placed, signed } = await check(reader(storage), ledger)
    expect([placed.length, signed]).toEqual([1, 2301])
    await ledger.close()
  })

  it('a second tree is computed again when one of its tiles is missing', async () => {
    const ledger = await ledgerOf(600)
    const first = newStorage()
    const tree = treeOver(ledger, first)
    await kept(tree, ledger)
    await tree.stop()
    const files = first.dump()
    files.delete('tile/0/001.b64')
    const storage = newStorage(files)
    const again = treeOver(ledger, storage)
    again.start()
    await until(again, ({ size }) => size === ledger.size)
    await again.stop()
    expect((await check(reader(storage), ledger)).signed).toBe(601)
    await ledger.close()
  })
})

/** Reports the first entry of each read. */
function watched(ledger: Ledger, read: (from: number) => void): SecondTreeOptions['log'] {
  return {
    get size() {
      return ledger.size
    },
    entries(from, to) {
      read(from)
      return ledger.entries(from, to)
    },
    grown: (size) => ledger.grown(size),
    treeBinding: (algorithm) => ledger.treeBinding(algorithm),
    bindTree: (bound) => ledger.bindTree(bound),
  }
}

/** Changes the files of a tree, and returns the status of a second tree that tries to continue them. It must not change any file. */
async function afterChange(change: (files: Map<string, Uint8Array>) => void): Promise<SecondTreeStatus> {
  const ledger = await ledgerOf(600)
  const first = newStorage()
  const tree = treeOver(ledger, first)
  await kept(tree, ledger)
  await tree.stop()
  const files = first.dump()
  change(files)
  const storage = newStorage(files)
  const again = treeOver(ledger, storage)
  again.start()
  const status = await until(again, ({ size }) => size > ledger.size)
  await again.stop()
  expect(storage.dump()).toEqual(files)
  await ledger.close()
  return status
}

describe('a second tree with foreign files', () => {
  it('a second tree is not continued when a tile was changed', async () => {
    const status = await afterChange((files) => {
      const tile = files.get('tile/0/000.b64') as Uint8Array
      tile[3] = tile[3] === 0x41 ? 0x42 : 0x41
    })
    expect(status).toMatchObject({ state: 'failed', problem: 'tile/0/000.b64: other bytes are sealed' })
  })

  it('a second tree is not continued with another key', async () => {
    const other = testSigner(ORIGIN, 10, nativeCrypto).vkey
    const status = await afterChange((files) => files.set('keys/ed25519.vkey', Buffer.from(`${other}\n`)))
    expect(status).toMatchObject({ state: 'failed', problem: 'keys/ed25519.vkey: other bytes are sealed' })
  })

  it('a second tree is not continued when the log is shorter', async () => {
    const long = await ledgerOf(600)
    const first = newStorage()
    const tree = treeOver(long, first)
    await kept(tree, long)
    await tree.stop()
    await long.close()
    const ledger = await ledgerOf(300)
    const again = treeOver(ledger, newStorage(first.dump()))
    again.start()
    const { problem } = await until(again, () => false)
    expect(problem).toBe("the tree's checkpoint covers 601 entries, but the log has 300")
    await again.stop()
    await ledger.close()
  })
})

it('binding is tried again later when the ledger cannot bind the second tree now', async () => {
  const ledger = await ledgerOf(300)
  let calls = 0
  const problems: [string, boolean][] = []
  const log: SecondTreeOptions['log'] = {
    ...watched(ledger, () => undefined),
    get size() {
      return ledger.size
    },
    async bindTree(bound) {
      // The second call makes the entry durable, although the call fails.
      calls += 1
      if (calls === 2) await ledger.bindTree(bound)
      throw Object.assign(new Error('the disk is full'), { code: 'full' })
    },
  }
  const storage = newStorage()
  const tree = treeOver(log, storage, {
    failed: (error, isFinal) => problems.push([(error as Error).message, isFinal]),
  })
  expect((await kept(tree, ledger)).bound).toEqual({ index: 300, size: 300 })
  await tree.stop()
  expect([calls, problems]).toEqual([2, [['the disk is full', false]]])
  expect((await check(reader(storage), ledger)).placed.length).toBe(1)
  await ledger.close()
})

it('the ledger reserves the type and the identifiers of bindings', async () => {
  const ledger = await ledgerOf(1)
  const payload = new Uint8Array(1)
  for (const record of [
    { id: 'a', type: TREE_TYPE, payload },
    { id: 'a', type: ` ${TREE_TYPE.toUpperCase()}; a=b`, payload },
    { id: 'vnd.service-fs.tree/sha3-256/1', type: 'text/plain', payload },
  ])
    await expect(ledger.append([record])).rejects.toMatchObject({ code: 'bad-record' })
  await ledger.close()
})

/** Cuts the power again and again while the tree is built over a growing log. After each cut, the files must be valid. */
async function history(seed: number): Promise<void> {
  const random = new Random(seed)
  const ledger = await ledgerOf(100 + random.below(500))
  let disk = new FaultyDisk({ seed, cutAt: 1 + random.below(60) })
  for (let life = 0; life < 6; life++) {
    const storage = await disk.open().catch((error: unknown) => {
      if (!disk.isOff) throw error
    })
    if (storage !== undefined) {
      const tree = treeOver(ledger, storage, { rebindEntries: 400 })
      tree.start()
      for (let round = 0; round < 4 && !disk.isOff; round++) {
        await grow(ledger, random.below(200))
        await until(tree, ({ signed }) => disk.isOff || signed === ledger.size)
      }
      await tree.stop()
    }
    const next = { cutAt: life === 4 ? Number.MAX_SAFE_INTEGER : 1 + random.below(80) }
    disk = disk.isOff ? disk.crash(next) : disk.kill(next)
    const files = disk.dump()
    await check((path) => files.get(path), ledger)
  }
  await ledger.close()
}

it('a second tree is valid after each of many power cuts', async () => {
  for (let seed = 1; seed <= (QUICK ? 3 : 30); seed++) await history(seed)
})
