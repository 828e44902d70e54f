import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatCheckpointText, openCheckpoint, parseCheckpointText } from './checkpoint.ts'
import { EMPTY_ROOT, bytesHash } from './hash.ts'
import { formatSignerKey, signerFromKey, verifierFromVkey } from './keys.ts'
import { MAX_SIZE } from './math.ts'
import { parseNote, signNote } from './note.ts'

const refused = (code: string): unknown => expect.objectContaining({ name: 'TlogError', code })
const ROOT = 'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I='

describe('checkpoints', () => {
  it('the parser accepts the example of tlog-cosignature', () => {
    const { text, signatures } = parseNote(`example.com/behind-the-sofa
20852163
${ROOT}

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
`)
    const checkpoint = parseCheckpointText(text)
    expect(checkpoint).toEqual({
      origin: 'example.com/behind-the-sofa',
      size: 20_852_163,
      root: ROOT,
      extensions: [],
    })
    expect(formatCheckpointText(checkpoint)).toBe(text)
    expect(signatures.map(({ signature }) => signature.length)).toEqual([64, 72])
  })

  it('parsing a formatted checkpoint returns the same checkpoint', () => {
    const line = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 30 })
      .filter((s) => !/\p{Cc}|\p{Cs}/u.test(s))
    fc.assert(
      fc.property(
        line,
        fc.oneof(fc.nat(), fc.maxSafeNat()),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.array(line, { maxLength: 3 }),
        (origin, size, root, extensions) => {
          const checkpoint = { origin, size, root: size === 0 ? EMPTY_ROOT : bytesHash(root), extensions }
          expect(parseCheckpointText(formatCheckpointText(checkpoint))).toEqual(checkpoint)
        },
      ),
    )
  })

  it.each<[string, string]>([
    ['nothing', ''],
    ['a newline', '\n'],
    ['two lines', 'origin\n1\n'],
    ['no newline at the end', `origin\n1\n${ROOT}`],
    ['no origin', `\n1\n${ROOT}\n`],
    ['no size', `origin\n\n${ROOT}\n`],
    ['an empty line at the end', `origin\n1\n${ROOT}\n\n`],
    ['an empty extension line', `origin\n1\n${ROOT}\na\n\nb\n`],
    ['a leading zero', `origin\n01\n${ROOT}\n`],
    ['a sign', `origin\n+1\n${ROOT}\n`],
    ['a negative size', `origin\n-1\n${ROOT}\n`],
    ['hexadecimal', `origin\n0x1\n${ROOT}\n`],
    ['a space after the size', `origin\n1 \n${ROOT}\n`],
    ['a size of 2^53', `origin\n9007199254740992\n${ROOT}\n`],
    ['a root of 31 bytes', `origin\n1\n${Buffer.alloc(31).toString('base64')}\n`],
    ['a root of 33 bytes', `origin\n1\n${Buffer.alloc(33).toString('base64')}\n`],
    ['a root without padding', `origin\n1\n${ROOT.slice(0, -1)}\n`],
    ['a root that is not canonical', `origin\n1\n${ROOT.replace('I=', 'J=')}\n`],
    ['a root in hexadecimal', `origin\n1\n${'00'.repeat(32)}\n`],
    ['another root of the empty tree', `origin\n0\n${ROOT}\n`],
    ['a carriage return', `origin\r\n1\r\n${ROOT}\r\n`],
    ['a tab', `ori\tgin\n1\n${ROOT}\n`],
    ['a lone surrogate', `\ud800\n1\n${ROOT}\n`],
  ])('the parser rejects %s', (_name, text) => {
    expect(() => parseCheckpointText(text)).toThrow(refused('checkpoint'))
  })

  it.each([
    { origin: '' },
    { origin: 'a\nb' },
    { origin: 'a\tb' },
    { origin: '\udfff' },
    { size: -1 },
    { size: 0.5 },
    { size: MAX_SIZE + 1 },
    { size: 0 },
    { root: 'AAAA' },
    { extensions: [''] },
    { extensions: ['a\nb'] },
  ])('the formatter rejects a checkpoint with %j', (change) => {
    const checkpoint = { origin: 'origin', size: 1, root: ROOT, extensions: [], ...change }
    expect(() => formatCheckpointText(checkpoint)).toThrow(refused('checkpoint'))
  })
})

describe('openCheckpoint', () => {
  const signer = signerFromKey(
    formatSignerKey({ name: 'example.org/log', type: 1, seed: new Uint8Array(32) }),
  )
  const verifiers = [verifierFromVkey(signer.vkey)]
  const text = formatCheckpointText({ origin: 'example.org/log', size: 1, root: ROOT, extensions: ['more'] })

  it('returns the signed checkpoint', async () => {
    const note = await signNote(text, [signer])
    expect(openCheckpoint(note, verifiers).checkpoint.extensions).toEqual(['more'])
    expect(openCheckpoint(note, verifiers, 'example.org/log').signatures).toHaveLength(1)
    expect(() => openCheckpoint(note, verifiers, 'example.org/other')).toThrow(refused('origin'))
    expect(() => openCheckpoint(note.replace('more', 'less'), verifiers)).toThrow(refused('signature'))
    expect(() => openCheckpoint(note, [])).toThrow(refused('unverified'))
  })

  it('rejects a signed text that is not a checkpoint', async () => {
    const note = await signNote('hello\n', [signer])
    expect(() => openCheckpoint(note, verifiers)).toThrow(refused('checkpoint'))
  })
})
