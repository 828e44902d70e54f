import { describe, expect, it } from 'vitest'
import { CASES } from './cases.ts'
import {
  appendBatch,
  appendOne,
  because,
  expectFsckGood,
  expectGood,
  fill,
  noFsck,
  noGo,
  restart,
  testFsck,
  testProgram,
  treeSize,
} from './log.ts'

/** changed.test.ts has the others. */
const cases = CASES.slice(0, 1)

describe.skipIf(noGo !== undefined)(
  `a log served over HTTP, checked with golang.org/x/mod${because(noGo)}`,
  () => {
    it('holds when it is empty', expectGood)

    it('holds with one entry', async () => {
      await appendOne()
      await expectGood()
    })

    it('holds with records of many sizes, appended in batches, one at a time and split', async () => {
      await fill()
      await expectGood()
    })

    it.skipIf(noFsck !== undefined)(
      `passes Tessera's fsck with partial tiles${because(noFsck)}`,
      expectFsckGood,
    )

    describe('answers changed in transit', () => {
      testProgram(cases)

      describe.skipIf(noFsck !== undefined)(`seen by Tessera's fsck${because(noFsck)}`, () => {
        testFsck(cases)
      })
    })

    it('holds when the last bundle is full', async () => {
      const missing = 256 - ((await treeSize()) % 256)
      await appendBatch(missing)
      expect((await treeSize()) % 256).toBe(0)
      await expectGood()
    })

    it.skipIf(noFsck !== undefined)(
      `passes Tessera's fsck with full bundles only${because(noFsck)}`,
      expectFsckGood,
    )

    it('holds after a stop and a start', async () => {
      await restart()
      await expectGood()
      await appendBatch(5)
      await expectGood()
    })

    it('holds after SIGKILL', async () => {
      const before = await treeSize()
      await restart('SIGKILL')
      expect(await treeSize()).toBe(before)
      await expectGood()
    })
  },
)
