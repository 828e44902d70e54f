// The shell lines printed in README.txt of a ledger prove an entry, under dash and busybox, with coreutils and openssl. entries.test.ts
// and large.test.ts have more cases.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  changeLine,
  copyOf,
  expectFalse,
  expectTrue,
  missing,
  prove,
  SHELLS,
  why,
  writeByDaemon,
} from './lines.ts'

let work = ''
let dir = ''

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'service-fs-readme-'))
  dir = join(work, 'ledger')
  await writeByDaemon(dir)
}, 120_000)

afterAll(() => rmSync(work, { recursive: true, force: true }))

describe.skipIf(missing.length > 0)(`the shell lines of README.txt${why}`, () => {
  it.each([599])(
    'print and accept entry %i of a ledger that a daemon wrote',
    (entry) => {
      for (const shell of SHELLS) {
        const said = prove(dir, entry, shell)
        expectTrue(said, `r${entry}`, entry < 512 ? 1 : 0)
        expect(said.stdout).toContain(`{"number":${entry}}`)
      }
    },
    300_000,
  )

  it('report a bad entry number', () => {
    for (const entry of [600, '', 'x', '007', '1e3'])
      expectFalse(prove(dir, entry), entry === 600 ? 'expected an entry below 600' : 'expected the number of')
  }, 60_000)

  it('find a change in tile/entries/000.b64', () => {
    const copy = copyOf(dir)
    changeLine(copy, 'tile/entries/000.b64', 5)
    expectFalse(prove(copy, 5), 'tile/0/000.b64 line 6: not the hash that entry 5 leads to')
  }, 300_000)
})
