// The shell lines printed in README.txt of a ledger prove an entry, under dash and busybox, with coreutils and openssl. entries.test.ts
// and large.test.ts have more cases.
import { describe, it } from 'vitest'
import { changeLine, copyOf, expectFalse, missing, prove, testEntries, useLedger, why } from './lines.ts'

const ledger = useLedger()

describe.skipIf(missing.length > 0)(`the shell lines of README.txt${why}`, () => {
  testEntries(ledger, [599])

  it('report a bad entry number', () => {
    for (const entry of [600, '', 'x', '007', '1e3'])
      expectFalse(
        prove(ledger(), entry),
        entry === 600 ? 'expected an entry below 600' : 'expected the number of',
      )
  })

  it('find a change in tile/entries/000.b64', () => {
    const copy = copyOf(ledger())
    changeLine(copy, 'tile/entries/000.b64', 5)
    expectFalse(prove(copy, 5), 'tile/0/000.b64 line 6: not the hash that entry 5 leads to')
  })
})
