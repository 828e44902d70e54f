// The shell lines of README.txt over more entries and damages, with a given key, and with hostile text.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { testSigner } from '@service-fs/client/testing'
import { describe, expect, it } from 'vitest'
import {
  changeLine,
  copyOf,
  expectFalse,
  expectTrue,
  missing,
  prove,
  put,
  testEntries,
  useLedger,
  why,
} from './lines.ts'

const ledger = useLedger()

describe.skipIf(missing.length > 0)(`the shell lines of README.txt${why}`, () => {
  testEntries(ledger, [0, 255, 300])

  it.each([
    ['tile/0/000.b64', 5, 'tile/0/000.b64 line 6: not the hash that entry 5 leads to'],
    ['tile/0/000.b64', 6, 'root hash of the 600 entries'],
    ['tail', 512, 'root hash of the 600 entries'],
  ])(
    'find a change in %s',
    (path, entry, words) => {
      const copy = copyOf(ledger())
      const file = path === 'tail' ? `tail/${readdirSync(join(copy, 'tail'))[0]}` : path
      // The tail begins with the one hash of its edge, an empty line, and seven lines of a commit without entries.
      changeLine(copy, file, path === 'tail' ? 12 : entry)
      expectFalse(prove(copy, path === 'tail' ? 512 : 5), words)
    },
    300_000,
  )

  it('use the given key, and detect a signature by another one', () => {
    const vkey = readFileSync(join(ledger(), 'keys/ed25519.vkey'), 'utf8').trim()
    expectTrue(prove(ledger(), 5, ['dash'], vkey), 'r5', 1)
    const other = testSigner(vkey.split('+')[0] ?? '').vkey
    expectFalse(prove(ledger(), 5, ['dash'], other), 'checkpoint: no signature by')
    const [name = '', id = ''] = vkey.split('+')
    const wrongKey = `${name}+${id}+${other.slice(other.split('+', 2).join('+').length + 1)}`
    expectFalse(prove(ledger(), 5, ['dash'], wrongKey), `verifier key ${wrongKey}: not its key id`)
    expectFalse(prove(ledger(), 5, ['dash'], `x${vkey}`), 'checkpoint line 1: not the name')
    // A script whose key variable is unset must not trust the key in the directory.
    expectFalse(prove(ledger(), 5, ['dash'], ''), 'checkpoint line 1: not the name')
    const copy = copyOf(ledger())
    const checkpoint = readFileSync(join(copy, 'checkpoint'), 'utf8')
    put(copy, 'checkpoint', checkpoint.replace('\n\n', '\nanother line\n\n'))
    expectFalse(prove(copy, 5), 'signature by')
    put(copy, 'checkpoint', checkpoint.replace('\n600\n', '\n601\n'))
    expect(prove(copy, 5).stderr).toContain('FALSE')
  })

  it('escape control characters in their arguments', () => {
    const copy = copyOf(ledger())
    put(copy, 'keys/ed25519.vkey', 'a\u001b]0;title\u0007+00000000+AAAA\n')
    const said = prove(copy, 5)
    expectFalse(said, 'checkpoint line 1')
    expect(said.stderr).toContain('^[]0;title^G')
    expect(said.stderr).not.toContain('\u001b')
  })
})
