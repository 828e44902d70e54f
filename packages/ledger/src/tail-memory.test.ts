import { nativeCodec, nativeHasher, nativeKernel } from '@service-fs/native/native'
import { pureCodec } from '@service-fs/tlog/codec'
import { Edge } from '@service-fs/tlog/edge'
import type { Hasher } from '@service-fs/tlog/hash'
import type { PackedEntries } from '@service-fs/tlog/kernel/kernel'
import { subtreeRoot } from '@service-fs/tlog/proof'
import { MemoryStorage } from '@service-fs/storage/memory'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { TailMemory } from './tail-memory.ts'
import { TestRuntime, openTestLedger, textRecord } from './testing-native.ts'

const entry = (n: number): Uint8Array => Buffer.from(`entry ${n} ${'.'.repeat(n % 50)}`)
const lineOf = (n: number): string => Buffer.from(entry(n)).toString('base64')
const leafOf = (n: number): string => nativeHasher.leaf(entry(n))
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

function packed(from: number, count: number): PackedEntries {
  const entries = range(from, from + count).map(entry)
  let end = 0
  const offsets = Uint32Array.of(0, ...entries.map(({ length }) => (end += length)))
  return { bytes: Buffer.concat(entries), offsets }
}

it('the memory of the tail holds the entries that were pushed and not dropped', () => {
  const step = fc.record({ push: fc.nat(400), drop: fc.nat(500), from: fc.nat(), to: fc.nat() })
  fc.assert(
    fc.property(fc.nat(300), fc.nat(300), fc.array(step, { maxLength: 8 }), (base, recovered, steps) => {
      const first = range(base, base + recovered)
      const memory = new TailMemory(pureCodec, base, first.map(lineOf), first.map(leafOf))
      let edge = new Edge()
      for (const n of range(0, base + recovered)) edge.append(leafOf(n), nativeHasher)
      let dropped = base
      for (const { push, drop, from, to } of steps) {
        if (push > 0) {
          const extension = nativeKernel.extend(edge, [packed(edge.size, push)])
          edge = extension.edge
          memory.push(extension)
        }
        memory.dropBelow(dropped + drop)
        dropped = Math.min(dropped + drop, edge.size)
        expect([memory.base, memory.end]).toEqual([dropped, edge.size])
        const held = range(dropped, edge.size)
        expect(memory.characters).toBe(held.reduce((sum, n) => sum + lineOf(n).length, 0))
        const at = dropped + (from % (held.length + 1))
        const end = at + (to % (edge.size - at + 1))
        const wanted = range(at, end)
        expect(memory.lines(at, end)).toEqual(wanted.map(lineOf))
        expect(memory.leaves(at, end)).toEqual(wanted.map(leafOf))
        expect(Buffer.from(memory.text(at, end)!).toString()).toBe(
          wanted.map((n) => `${lineOf(n)}\n`).join(''),
        )
        expect(memory.line(at)).toBe(at < edge.size ? lineOf(at) : undefined)
        for (const [below, above] of [
          [dropped - 1, edge.size],
          [dropped, edge.size + 1],
        ] as const) {
          expect(memory.lines(below, above)).toBeUndefined()
          expect(memory.leaves(below, above)).toBeUndefined()
        }
        for (const bundle of range(0, Math.floor(edge.size / 256))) {
          const root = memory.rootOf(bundle)
          const isNew = bundle * 256 >= dropped && (bundle + 1) * 256 > base + recovered
          if (isNew) expect(root).toBeDefined()
          if (root !== undefined)
            expect(root).toBe(subtreeRoot(range(bundle * 256, bundle * 256 + 256).map(leafOf), nativeHasher))
        }
      }
    }),
    { numRuns: 30 },
  )
})

it('the memory of the tail lets a ledger hash each node of its tiles once', async () => {
  const seen = new Map<string, number>()
  const hasher: Hasher = {
    ...nativeHasher,
    node(left, right) {
      seen.set(left + right, (seen.get(left + right) ?? 0) + 1)
      return nativeHasher.node(left, right)
    },
  }
  const runtime = Object.assign(new TestRuntime(), { hasher, codec: nativeCodec, kernel: undefined })
  const storage = new MemoryStorage()
  const ledger = await openTestLedger({ runtime, storage })
  await ledger.append(range(0, 512).map((n) => textRecord(`r-${n}`, 'text')))
  while (ledger.status().sealed < 512) await new Promise((resolve) => void setImmediate(resolve))
  // 510 nodes in two tiles, and the node over them, which the edge of the sealed tiles needs too.
  expect(seen.size).toBe(511)
  expect([...seen.values()].reduce((sum, count) => sum + count)).toBe(512)
  await ledger.close()
})
