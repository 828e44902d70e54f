// A kernel that fails, as an engine without memory does.
import { nativeKernel } from '@service-fs/native/native'
import { expect, it } from 'vitest'
import { openTestLedger, TestRuntime, textRecord } from './testing-native.ts'

it('rejects the appends, stops the ledger and lets it close when a commit cannot be hashed', async () => {
  const runtime = new TestRuntime()
  let fails = false
  const kernel: typeof nativeKernel = {
    ...nativeKernel,
    extend(edge, batches) {
      if (fails) throw new RangeError('Array buffer allocation failed')
      return nativeKernel.extend(edge, batches)
    },
  }
  const ledger = await openTestLedger({ runtime: Object.assign(runtime, { kernel }) })
  await ledger.append([textRecord('a', '1')])
  fails = true
  await expect(ledger.append([textRecord('b', '2')])).rejects.toMatchObject({ code: 'stopped' })
  fails = false
  await expect(ledger.append([textRecord('c', '3')])).rejects.toMatchObject({ code: 'stopped' })
  expect(ledger.size).toBe(1)
  await ledger.close()
})
