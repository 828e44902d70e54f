import { beforeAll, describe, expect, it } from 'vitest'
import { startDaemon } from '../support/daemon.ts'
import { CASES, control } from './cases.ts'
import {
  because,
  daemon,
  fill,
  noFsck,
  noGo,
  testFsck,
  testProgram,
  treeSize,
  vkey,
  vkeyFile,
} from './log.ts'
import { tamperingProxy } from './tamper.ts'
import { fsck, interop } from './tools.ts'

/** interop.test.ts tests the first case. */
const cases = CASES.slice(1)

describe.skipIf(noGo !== undefined)(
  `a log served over HTTP, checked with golang.org/x/mod${because(noGo)}`,
  () => {
    beforeAll(fill, 120_000)

    describe('answers changed in transit', () => {
      it('none: the proxy alone changes nothing', async () => {
        const proxy = await tamperingProxy(daemon.prefix)
        const { code, report } = await interop(proxy.prefix, vkey)
        await proxy.close()
        expect(report.failures).toEqual([])
        expect(code).toBe(0)
      })

      testProgram(cases)

      it("another log's key of the same name", async () => {
        const other = await startDaemon({ moduleId: 'interop' })
        const otherKey = await other.vkey()
        await other.dispose()
        expect(otherKey.split('+')[0]).toBe(vkey.split('+')[0])
        const { code, report } = await interop(daemon.prefix, otherKey)
        expect(report.failures.join('\n')).toMatch(/signed note not accepted/)
        expect(code).toBe(1)
      })

      describe.skipIf(noFsck !== undefined)(`seen by Tessera's fsck${because(noFsck)}`, () => {
        it('none: the proxy alone changes nothing', async () => {
          const proxy = await tamperingProxy(daemon.prefix, control)
          const found = await fsck(proxy.prefix, vkeyFile())
          await proxy.close()
          expect(found).toEqual({ good: await treeSize() })
        })

        testFsck(cases)
      })
    })
  },
)
