import { join } from 'node:path'
import { nativeHasher } from '@service-fs/native/native'
import { computeProof, inclusionPlan } from '@service-fs/tlog/proof'
import { expect, it } from 'vitest'
import { directoryFiles } from '../ledger-files.ts'
import { filesSource } from '../source.ts'
import { makeLedger, remove, temporary, testRecords } from '../testing.ts'
import { TrustedTree } from '../tree.ts'
import { Trust } from '../trust.ts'
import { testSigner } from '../testing.ts'
import { TreeProofs } from './tree-proofs.ts'

it.each([1, 2, 255, 256, 257, 1000])('TreeProofs proves every entry of a tree of %i', async (size) => {
  const dir = await temporary()
  try {
    await makeLedger(join(dir, 'ledger'), { records: testRecords(size), tail: 'export' })
    const source = filesSource(directoryFiles(join(dir, 'ledger')))
    const trust = Trust.pinned({ vkeys: [testSigner().vkey] }) as Trust
    const tree = await TrustedTree.open(source, trust.open(await source.checkpoint()))
    const leaves: string[] = []
    for (let i = 0; i < size; i++) leaves.push(await tree.leaf(i))
    // The tests of the package tlog compare computeProof with RFC 6962.
    const tile = (level: number, index: number): string[] => {
      const row = [...leaves]
      for (let i = 0; i < level * 8; i++) row.splice(0, row.length, ...pairs(row))
      return row.slice(index * 256, (index + 1) * 256)
    }
    const proofs = new TreeProofs(tree)
    for (let i = 0; i < size; i += i % 16 === 0 ? 1 : 3)
      expect(await proofs.inclusion(i)).toEqual(computeProof(inclusionPlan(i, size), tile, nativeHasher))
  } finally {
    await remove(dir)
  }
})

function pairs(row: readonly string[]): string[] {
  const above: string[] = []
  for (let i = 0; i + 1 < row.length; i += 2) above.push(nativeHasher.node(row[i]!, row[i + 1]!))
  return above
}
