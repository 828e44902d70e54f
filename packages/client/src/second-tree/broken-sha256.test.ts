// This test replaces SHA-256 by a hash of 16 bits, so that a forger can find another entry with the same hash.
import { createHash } from 'node:crypto'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { entriesOf, type RecordContent } from '@service-fs/format/entry'
import { sha256Hex } from '@service-fs/native/native'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { problemText } from '../problems.ts'
import { makeLedger, remove, temporary, testRecords } from '../testing.ts'
import { bindingRecord, merkleRoot, removeSecondTree, writeSecondTree } from '../testing-second-tree.ts'
import { verifyDirectory } from '../verify-directory.ts'

/** The first 16 bits of SHA-256, and zeros. */
function broken(data: Uint8Array): Buffer {
  return Buffer.concat([createHash('sha256').update(data).digest().subarray(0, 2), Buffer.alloc(30)])
}

vi.mock('@service-fs/native/native', async (original) => {
  const native = await original<typeof import('@service-fs/native/native')>()
  const { plainKernel } = await import('@service-fs/tlog/kernel/plain')
  const nativeHasher = {
    leaf: (entry: Uint8Array) => broken(Buffer.concat([Buffer.from([0]), entry])).toString('base64'),
    node: (left: string, right: string) =>
      broken(Buffer.concat([Buffer.from([1]), bytes(left), bytes(right)])).toString('base64'),
    // The key ids still use the real SHA-256.
    sha256: (data: Uint8Array) => native.nativeHasher.sha256(data),
  }
  const nativeKernel = plainKernel(nativeHasher, native.nativeCodec)
  return { ...native, nativeHasher, nativeKernel }
})

const FORGED = 77
let work = ''
let entries: Uint8Array[] = []
let forged: Uint8Array

function bytes(hash: string): Buffer {
  return Buffer.from(hash, 'base64')
}

/** Returns the 16 bits of the broken leaf hash. */
function leaf(entry: Uint8Array): number {
  return createHash('sha256')
    .update(Buffer.from([0]))
    .update(entry)
    .digest()
    .readUInt16BE()
}

/** Returns another entry with the same header and the same broken hash. */
function forge(record: RecordContent): Uint8Array {
  const entryOf = (payload: string): Buffer =>
    Buffer.from(entriesOf({ ...record, payload: Buffer.from(payload) }, sha256Hex)[0] as Uint8Array)
  const header = entryOf('')
  const wanted = leaf(entriesOf(record, sha256Hex)[0] as Uint8Array)
  for (let i = 0; i < 1 << 22; i++) {
    const entry = Buffer.concat([header, Buffer.from(`forged ${i}`)])
    if (leaf(entry) === wanted) return entry
  }
  throw new Error('found no collision')
}

/** Returns the entry by which a ledger with the broken hash binds a second tree. */
function binding(first: readonly Uint8Array[]): RecordContent {
  const record = bindingRecord(first, { algorithm: 'sha3-256', time: '2026-11-22T01:00:00.000Z' })
  const members = JSON.parse(Buffer.from(record.payload).toString()) as Record<string, unknown>
  const sha256Root = merkleRoot(first, broken).toString('base64')
  return { ...record, payload: Buffer.from(JSON.stringify({ ...members, sha256Root })) }
}

async function problems(dir: string): Promise<string[]> {
  return (await verifyDirectory(dir)).problems.map(problemText)
}

beforeAll(async () => {
  work = await temporary()
  const first = testRecords(300).flatMap((record) => entriesOf(record, sha256Hex))
  entries = [...first, ...entriesOf(binding(first), sha256Hex)]
  await makeLedger(join(work, 'honest'), { entries })
  await writeSecondTree(join(work, 'honest'), entries, { algorithm: 'sha3-256' })
  // The forger replaces one entry. All hashes, roots and signatures of the log's tree stay as they were.
  forged = forge(testRecords(300)[FORGED] as RecordContent)
  await makeLedger(join(work, 'forged'), { entries: entries.with(FORGED, forged) })
  await cp(join(work, 'honest/sha3-256'), join(work, 'forged/sha3-256'), { recursive: true })
})

afterAll(() => remove(work))

it('verify accepts the ledger before the forgery', async () => {
  expect(await problems(join(work, 'honest'))).toEqual([])
})

it('verify accepts the forgery in a ledger without a second tree', async () => {
  const dir = join(work, 'alone')
  const first = entries.slice(0, 300)
  await makeLedger(dir, { entries: first.with(FORGED, forged) })
  expect(await problems(dir)).toEqual([])
  const { root } = await verifyDirectory(dir)
  expect(root).toBe(merkleRoot(first, broken).toString('base64'))
})

it('verify detects the forgery by the second tree, and names the entry', async () => {
  const found = await problems(join(work, 'forged'))
  expect(found).toHaveLength(3)
  expect(found[0]).toMatch(
    /^sha3-256\/tile\/0\/000\.b64 line 78 \(entry 77\): expected the sha3-256 hash of the entry/,
  )
  expect(found[1]).toMatch(/^sha3-256\/checkpoint: expected root hash .* of the 301 entries/)
  expect(found[2]).toMatch(/\(entry 300\): expected root: .* of the first 300 entries/)
})

it('verify detects the forgery by the bound root, even if the second tree was removed or made again', async () => {
  const dir = join(work, 'gone')
  await cp(join(work, 'forged'), dir, { recursive: true })
  await removeSecondTree(dir, 'sha3-256')
  expect((await problems(dir)).some((problem) => /\(entry 300\): expected root: /.test(problem))).toBe(true)
  await writeSecondTree(dir, entries.with(FORGED, forged), { algorithm: 'sha3-256' })
  expect(await problems(dir)).toEqual([
    expect.stringMatching(/\(entry 300\): expected root: .* of the first 300 entries/),
  ])
})
