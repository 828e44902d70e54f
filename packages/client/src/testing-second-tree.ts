/** Makes second trees for tests by the recursion of RFC 9162 section 2.1.1, independently of the code under test. */
import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { blake3 } from '@noble/hashes/blake3.js'
import { entriesOf, type RecordContent } from '@service-fs/format/entry'
import { TREE_TYPE, treeBindingId, type TreeAlgorithm } from '@service-fs/format/tree-binding'
import { sha256Hex } from '@service-fs/native/native'
import { signNote } from '@service-fs/tlog/note'
import { makeLedger, TEST_ORIGIN, testRecords, testSigner, writeBelow, type TestLedger } from './testing.ts'

export type Digest = (data: Uint8Array) => Buffer

export const DIGESTS: Readonly<Record<TreeAlgorithm | 'sha2-256', Digest>> = {
  'sha2-256': (data) => createHash('sha256').update(data).digest(),
  'sha3-256': (data) => createHash('sha3-256').update(data).digest(),
  'sha2-512': (data) => createHash('sha512').update(data).digest(),
  blake3: (data) => Buffer.from(blake3(data)),
}

/** Returns the Merkle tree hash MTH(D[n]) of RFC 9162 section 2.1.1. */
export function merkleRoot(entries: readonly Uint8Array[], digest: Digest): Buffer {
  if (entries.length === 0) return digest(new Uint8Array())
  if (entries.length === 1) return digest(Buffer.concat([Buffer.from([0]), entries[0] ?? Buffer.alloc(0)]))
  let k = 1
  while (k * 2 < entries.length) k *= 2
  const [left, right] = [entries.slice(0, k), entries.slice(k)]
  return digest(Buffer.concat([Buffer.from([1]), merkleRoot(left, digest), merkleRoot(right, digest)]))
}

export interface TestTree {
  algorithm: TreeAlgorithm
  origin?: string
  /** The number of entries that the tree covers; default: all. */
  size?: number
}

/** Writes the folder of a second tree over these entries. */
export async function writeSecondTree(
  dir: string,
  entries: readonly Uint8Array[],
  { algorithm, origin = TEST_ORIGIN, size = entries.length }: TestTree,
): Promise<void> {
  const digest = DIGESTS[algorithm]
  const signer = testSigner(`${origin}/${algorithm}`)
  const put = (path: string, text: string): Promise<void> => writeBelow(join(dir, algorithm), path, text)
  await put('origin', `${origin}/${algorithm}\n`)
  await put('keys/ed25519.vkey', `${signer.vkey}\n`)
  for (let level = 0, span = 1; span * 256 <= size; level++, span *= 256)
    for (let tile = 0; (tile + 1) * 256 * span <= size; tile++) {
      const lines = Array.from({ length: 256 }, (_, i) => {
        const first = (tile * 256 + i) * span
        return `${merkleRoot(entries.slice(first, first + span), digest).toString('base64')}\n`
      })
      await put(`tile/${level}/${String(tile).padStart(3, '0')}.b64`, lines.join(''))
    }
  const root = merkleRoot(entries.slice(0, size), digest).toString('base64')
  await put('checkpoint', await signNote(`${origin}/${algorithm}\n${size}\n${root}\n`, [signer]))
}

/** Returns the record that binds a second tree over these entries. The member names are in the order of RFC 8785. */
export function bindingRecord(
  entries: readonly Uint8Array[],
  { algorithm, origin = TEST_ORIGIN, time }: TestTree & { time: string },
): RecordContent {
  const payload = {
    algorithm,
    origin: `${origin}/${algorithm}`,
    root: merkleRoot(entries, DIGESTS[algorithm]).toString('base64'),
    sha256Root: merkleRoot(entries, DIGESTS['sha2-256']).toString('base64'),
    size: entries.length,
    vkey: testSigner(`${origin}/${algorithm}`).vkey,
  }
  return {
    id: treeBindingId(algorithm, 1),
    type: TREE_TYPE,
    time,
    payload: Buffer.from(JSON.stringify(payload)),
  }
}

export interface TestBound extends Omit<TestLedger, 'entries' | 'records'> {
  algorithm: TreeAlgorithm
  /** The number of entries of the log before the binding, and after it. */
  before: number
  after: number
  /** The size of the tree that the binding names; default: all entries before it. */
  bound?: number
  /** The size of the second tree's checkpoint; default: that of the log. */
  size?: number
  records?: (count: number) => RecordContent[]
}

/** Writes a ledger with a second tree that an entry binds. Returns its entries. */
export async function makeBoundLedger(dir: string, ledger: TestBound): Promise<Uint8Array[]> {
  const { algorithm, before, after, bound, size, origin } = ledger
  const records = (ledger.records ?? testRecords)(before + after)
  const first = entriesIn(records.slice(0, before))
  const time = records[before]?.time ?? records.at(-1)?.time ?? '2026-11-22T00:00:00.000Z'
  const own = origin === undefined ? {} : { origin }
  const binding = bindingRecord(first.slice(0, bound ?? first.length), { algorithm, time, ...own })
  const all = [...first, ...entriesIn([binding]), ...entriesIn(records.slice(before))]
  await makeLedger(dir, { ...ledger, entries: all, records: [] })
  await writeSecondTree(dir, all, { algorithm, ...own, ...(size === undefined ? {} : { size }) })
  return all
}

function entriesIn(records: readonly RecordContent[]): Uint8Array[] {
  return records.flatMap((content) => entriesOf(content, sha256Hex))
}

/** Removes the folder of a second tree. */
export function removeSecondTree(dir: string, algorithm: TreeAlgorithm): Promise<void> {
  return rm(join(dir, algorithm), { recursive: true })
}
