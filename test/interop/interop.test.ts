import { describe, expect, it } from 'vitest'
import { CASES } from './cases.ts'
import {
  appendBatch,
  appendOne,
  because,
  daemon,
  expectFsckGood,
  expectGood,
  fill,
  noFsck,
  noGo,
  restart,
  treeSize,
  vkey,
  vkeyFile,
} from './log.ts'
import { tamperingProxy } from './tamper.ts'
import { fsck, interop } from './tools.ts'

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
      it.each(cases)('%s', async (_, tampering, complaint) => {
        const proxy = await tamperingProxy(daemon.prefix, tampering)
        const { code, report } = await interop(proxy.prefix, vkey)
        await proxy.close()
        expect(proxy.changed()).toBeGreaterThan(0)
        expect(report.failures.join('\n')).toMatch(complaint)
        expect({ code, ok: report.ok }).toEqual({ code: 1, ok: false })
      })

      describe.skipIf(noFsck !== undefined)(`seen by Tessera's fsck${because(noFsck)}`, () => {
        it.each(cases.filter(([, , , fsckToo]) => fsckToo))('%s', async (_, tampering) => {
          const proxy = await tamperingProxy(daemon.prefix, tampering)
          const found = await fsck(proxy.prefix, vkeyFile())
          await proxy.close()
          expect(proxy.changed()).toBeGreaterThan(0)
          expect(found.complaint).toMatch(/fsck failed/)
        })
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
