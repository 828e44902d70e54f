import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatCheckpointText } from './checkpoint.ts'
import { bytesHash } from './hash.ts'
import { formatSignerKey, signerFromKey, type KeySigner } from './keys.ts'
import { formatNote, parseVkey } from './note.ts'
import { checkPolicy, checkQuorum, parsePolicy } from './policy.ts'

const refused = (code: string): unknown => expect.objectContaining({ name: 'TlogError', code })
const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n)
const signer = (name: string, type: number, n: number): KeySigner =>
  signerFromKey(formatSignerKey({ name, type, seed: seed(n) }), { now: () => 1000 + n })

const log = signer('example.org/log', 1, 1)
const pqLog = signer('example.org/log', 6, 2)
const otherLog = signer('example.org/other', 1, 3)
const x1 = signer('witness.example/x1', 4, 11)
const x2 = signer('witness.example/x2', 4, 12)
const x3 = signer('witness.example/x3', 4, 13)
const y1 = signer('witness.example/y1', 6, 14)
const y2 = signer('witness.example/y2', 4, 15)

// The example of c2sp.org/tlog-policy, with two Y-witnesses.
const EXAMPLE = `log ${log.vkey}

witness X1 ${x1.vkey}
witness X2 ${x2.vkey}
witness X3 ${x3.vkey}
group X-witnesses 2 X1 X2 X3

witness Y1 ${y1.vkey}
witness Y2 ${y2.vkey}
group Y-witnesses any Y1 Y2

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
`

const text = formatCheckpointText({
  origin: 'example.org/log',
  size: 9,
  root: bytesHash(seed(9)),
  extensions: [],
})
const noteOf = async (signers: KeySigner[], of: string = text): Promise<string> =>
  formatNote(of, await Promise.all(signers.map((s) => s.sign(of))))

describe('parsePolicy', () => {
  it('parses the example', () => {
    const policy = parsePolicy(EXAMPLE)
    expect(policy.logs).toEqual([{ vkey: parseVkey(log.vkey) }])
    expect(policy.witnesses.map(({ name, vkey }) => [name, vkey.type])).toEqual([
      ['X1', 4],
      ['X2', 4],
      ['X3', 4],
      ['Y1', 6],
      ['Y2', 4],
    ])
    expect(policy.groups).toEqual([
      { name: 'X-witnesses', threshold: 2, members: ['X1', 'X2', 'X3'] },
      { name: 'Y-witnesses', threshold: 1, members: ['Y1', 'Y2'] },
      { name: 'X-and-Y', threshold: 2, members: ['X-witnesses', 'Y-witnesses'] },
    ])
    expect(policy.quorum).toBe('X-and-Y')
    expect(parsePolicy(new Uint8Array(Buffer.from(EXAMPLE)))).toEqual(policy)
  })

  it('parses comments, empty lines, white space, URLs', () => {
    const policy = parsePolicy(
      `# first\n\t #\tsecond é\n \t \n\n  log\t${log.vkey} \t https://example.org/ \nwitness\t w  ${x1.vkey}\thttps://w.example/#x\n\tquorum w \n#`.concat(
        '\n',
      ),
    )
    expect(policy.logs[0]!.url).toBe('https://example.org/')
    expect(policy.witnesses[0]!.url).toBe('https://w.example/#x')
    expect(policy.quorum).toBe('w')
  })

  it('accepts a policy without logs and witnesses, and unused definitions', () => {
    expect(parsePolicy('quorum none\n')).toEqual({ logs: [], witnesses: [], groups: [], quorum: 'none' })
    expect(parsePolicy(`quorum none\n${EXAMPLE.replace('quorum X-and-Y\n', '')}`).quorum).toBe('none')
  })

  it('accepts keywords as names', () => {
    const policy = parsePolicy(
      `witness any ${x1.vkey}\nwitness 2 ${x2.vkey}\ngroup all all any 2\nquorum all\n`,
    )
    expect(policy.groups).toEqual([{ name: 'all', threshold: 2, members: ['any', '2'] }])
  })

  it('keeps names as octets', () => {
    const kelvin = `witness K ${x1.vkey}\nwitness \u212a ${x2.vkey}\nquorum \u212a\n`
    const policy = parsePolicy(new Uint8Array(Buffer.from(kelvin)))
    expect(policy.witnesses.map(({ name }) => name)).toEqual(['K', '\u00e2\u0084\u00aa'])
    expect(policy.quorum).toBe('\u00e2\u0084\u00aa')
    expect(
      parsePolicy(
        new Uint8Array([
          ...Buffer.from(`witness `),
          0xff,
          0x80,
          ...Buffer.from(` ${x1.vkey}\nquorum none\n`),
        ]),
      ).witnesses[0]!.name,
    ).toBe('\u00ff\u0080')
    const nbsp = parsePolicy(new Uint8Array(Buffer.from(`witness a\u00a0b ${x1.vkey}\nquorum none\n`)))
    expect(nbsp.witnesses[0]!.name).toBe('a\u00c2\u00a0b')
  })

  it('parses key names in UTF-8', () => {
    const german = signer('example.org/größe', 1, 4)
    const policy = parsePolicy(new Uint8Array(Buffer.from(`log ${german.vkey}\nquorum none\n`)))
    expect(policy.logs[0]!.vkey.name).toBe('example.org/größe')
  })

  it('accepts as many logs, witnesses and groups as the specification requires', () => {
    const logs = Array.from({ length: 40 }, (_, i) => `log ${signer('l', 1, i + 50).vkey}\n`)
    const witnesses = Array.from({ length: 40 }, (_, i) => `witness w${i} ${signer('w', 4, i + 50).vkey}\n`)
    const groups = Array.from(
      { length: 40 },
      (_, i) => `group g${i} any ${i === 0 ? '' : `g${i - 1}`} w${i}\n`,
    )
    const policy = parsePolicy([...logs, ...witnesses, ...groups, 'quorum g39\n'].join(''))
    expect([policy.logs.length, policy.witnesses.length, policy.groups.length]).toEqual([40, 40, 40])
    checkQuorum(policy, ['w0'])
    expect(() => checkQuorum(policy, [])).toThrow(refused('quorum'))
  })

  const w = `witness a ${x1.vkey}\nwitness b ${x2.vkey}\nwitness c ${x3.vkey}\n`
  const sameKey = signer('another.example', 6, 14)
  const sameEd25519 = signer('another.example', 1, 1)
  it.each<[string, string]>([
    ['nothing', ''],
    ['no quorum', w],
    ['two quorums', 'quorum none\nquorum none\n'],
    ['no newline at the end', 'quorum none'],
    ['a quorum without a name', 'quorum\n'],
    ['a quorum of two', `${w}quorum a b\n`],
    ['a quorum defined later', `quorum a\n${w}`],
    ['a quorum not defined', `${w}quorum d\n`],
    ['a quorum in other case', `${w}quorum A\n`],
    ['a comment after a quorum', 'quorum none # no\n'],
    ['an unknown keyword', 'quorum none\nwitnesses\n'],
    ['a keyword in capitals', 'Quorum none\n'],
    ['a log without a key', 'log\nquorum none\n'],
    ['a log with two URLs', `log ${log.vkey} a b\nquorum none\n`],
    ['a log key that is not a verifier key', 'log abc\nquorum none\n'],
    ['a log key of a cosigner', `log ${x1.vkey}\nquorum none\n`],
    ['a log key of another type', 'log a+01020304+AgUGBw==\nquorum none\n'],
    ['a log twice', `log ${log.vkey}\nlog ${log.vkey} url\nquorum none\n`],
    ['a log key under another name', `log ${log.vkey}\nlog ${sameEd25519.vkey}\nquorum none\n`],
    ['a witness without a key', 'witness a\nquorum none\n'],
    ['a witness without a name', `witness ${x1.vkey}\nquorum none\n`],
    ['a witness with two URLs', `witness a ${x1.vkey} a b\nquorum none\n`],
    ['a witness key of a log', `witness a ${log.vkey}\nquorum none\n`],
    ['a witness named none', `witness none ${x1.vkey}\nquorum none\n`],
    ['a witness name twice', `witness a ${x1.vkey}\nwitness a ${x2.vkey}\nquorum none\n`],
    ['a witness key twice', `witness a ${x1.vkey}\nwitness b ${x1.vkey}\nquorum none\n`],
    ['a witness key under another name', `witness a ${y1.vkey}\nwitness b ${sameKey.vkey}\nquorum none\n`],
    ['a group without anything', 'group\nquorum none\n'],
    ['a group without a rule', 'group g\nquorum none\n'],
    ['a group without members', `${w}group g any\nquorum none\n`],
    ['a group of none', `${w}group g any none\nquorum none\n`],
    ['a group named none', `${w}group none any a\nquorum none\n`],
    ['a group named as a witness', `${w}group a any b\nquorum none\n`],
    ['a group named twice', `${w}group g any a\ngroup g any b\nquorum none\n`],
    ['a group of itself', `${w}group g any g\nquorum none\n`],
    ['a group of a later one', `${w}group g any h\ngroup h any a\nquorum none\n`],
    ['a group of one not defined', `${w}group g any a d\nquorum none\n`],
    ['a member twice in a group', `${w}group g any a a\nquorum none\n`],
    ['a member of two groups', `${w}group g any a\ngroup h any a b\nquorum none\n`],
    ['a group in two groups', `${w}group g any a\ngroup h any g\ngroup i any g\nquorum none\n`],
    ['threshold 0', `${w}group g 0 a b\nquorum none\n`],
    ['threshold 3 of 2', `${w}group g 3 a b\nquorum none\n`],
    ['threshold 02', `${w}group g 02 a b\nquorum none\n`],
    ['threshold +1', `${w}group g +1 a b\nquorum none\n`],
    ['threshold 1.0', `${w}group g 1.0 a b\nquorum none\n`],
    ['threshold 0x1', `${w}group g 0x1 a b\nquorum none\n`],
    ['threshold ALL', `${w}group g ALL a b\nquorum none\n`],
    ['a carriage return', 'quorum none\r\n'],
    ['a form feed', 'quorum\fnone\n'],
    ['a delete character', '# \u007f\nquorum none\n'],
    ['a zero octet', '# \0\nquorum none\n'],
    ['characters that are no octets', '# \u0100\nquorum none\n'],
    ['a key name that is no UTF-8', `log \u00ff${log.vkey}\nquorum none\n`],
    ['too many octets', `${'#'.repeat(1_000_000)}\nquorum none\n`],
  ])('rejects %s', (_name, policy) => {
    expect(() => parsePolicy(policy)).toThrow(refused('policy'))
  })

  it('reports the line number', () => {
    expect(() => parsePolicy('\n\nlog x\n')).toThrow('line 3: ')
    expect(() => parsePolicy('\n\tquorum none\r\n')).toThrow('line 2: ')
  })
})

describe('checkQuorum', () => {
  it('counts the members of groups', () => {
    const policy = parsePolicy(EXAMPLE)
    const names = ['X1', 'X2', 'X3', 'Y1', 'Y2']
    fc.assert(
      fc.property(fc.subarray(names), (witnesses) => {
        const count = (letter: string): number => witnesses.filter((name) => name.startsWith(letter)).length
        const enough = count('X') >= 2 && count('Y') >= 1
        if (enough) checkQuorum(policy, [...witnesses, 'Z'])
        else
          expect(() => checkQuorum(policy, [...witnesses, 'X-witnesses', 'X-and-Y'])).toThrow(
            refused('quorum'),
          )
      }),
    )
  })
})

describe('checkPolicy', () => {
  it('accepts a checkpoint that the quorum cosigned', async () => {
    const result = checkPolicy(
      parsePolicy(EXAMPLE),
      await noteOf([y1, x3, log, x1, signer('unknown', 4, 99)]),
    )
    expect(result.checkpoint.size).toBe(9)
    expect(result.logKey).toEqual(parseVkey(log.vkey))
    expect(result.witnesses).toEqual(['X1', 'X3', 'Y1'])
    expect(result.cosignatures).toEqual([
      { witness: 'X1', time: 1011 },
      { witness: 'X3', time: 1013 },
      { witness: 'Y1', time: 1014 },
    ])
  })

  it('accepts a checkpoint without cosignatures when the quorum is none', async () => {
    const policy = parsePolicy(EXAMPLE.replace('quorum X-and-Y', 'quorum none'))
    expect(checkPolicy(policy, await noteOf([log])).witnesses).toEqual([])
    expect(checkPolicy(policy, await noteOf([log, x2])).witnesses).toEqual(['X2'])
  })

  it('accepts a log by its ML-DSA-44 key, which does not count as a witness', async () => {
    const policy = parsePolicy(`log ${log.vkey}\nlog ${pqLog.vkey}\nquorum none\n`)
    expect(checkPolicy(policy, await noteOf([pqLog])).logKey.type).toBe(6)
    expect(checkPolicy(policy, await noteOf([pqLog, log]))).toMatchObject({
      logKey: { type: 1 },
      witnesses: [],
    })
  })

  it('accepts a key that is both a log and a witness', async () => {
    const policy = parsePolicy(`log ${pqLog.vkey}\nwitness w ${pqLog.vkey}\nquorum w\n`)
    expect(checkPolicy(policy, await noteOf([pqLog])).witnesses).toEqual(['w'])
  })

  it('accepts logs passed as an option', async () => {
    const policy = parsePolicy('quorum none\n')
    const note = await noteOf([log])
    expect(() => checkPolicy(policy, note)).toThrow(refused('unverified'))
    expect(checkPolicy(policy, note, { logs: [{ vkey: parseVkey(log.vkey) }] }).checkpoint.size).toBe(9)
  })

  it('rejects too few cosignatures', async () => {
    const policy = parsePolicy(EXAMPLE)
    for (const signers of [[log], [log, x1, y1], [log, x1, x2, x3], [log, x1, x1, y1]]) {
      const note = await noteOf(signers)
      expect(() => checkPolicy(policy, note)).toThrow(refused('quorum'))
    }
  })

  it('rejects a checkpoint that no log of its origin signed', async () => {
    const policy = parsePolicy(`log ${otherLog.vkey}\n${EXAMPLE}`)
    for (const signers of [
      [x1, x2, y1],
      [otherLog, x1, x2, y1],
    ]) {
      const note = await noteOf(signers)
      expect(() => checkPolicy(policy, note)).toThrow(refused('origin'))
    }
    const otherText = text.replace('example.org/log', 'example.org/other')
    const note = await noteOf([log, x1, x2, y1], otherText)
    expect(() => checkPolicy(policy, note)).toThrow(refused('origin'))
    expect(checkPolicy(policy, await noteOf([otherLog, x1, x2, y1], otherText)).logKey.name).toBe(
      'example.org/other',
    )
  })

  it('rejects a note with an invalid signature of a known witness', async () => {
    const note = await noteOf([log, x1, x2, y1])
    const wrong = (await noteOf([x3], text.replace('9', '8'))).split('\n').at(-2)
    expect(() => checkPolicy(parsePolicy(EXAMPLE), `${note}${wrong}\n`)).toThrow(refused('signature'))
  })

  it('rejects a signed text that is not a checkpoint', async () => {
    const note = await noteOf([log], 'hello\n')
    expect(() => checkPolicy(parsePolicy(EXAMPLE), note)).toThrow(refused('checkpoint'))
  })

  it('accepts the checkpoints that torchwood accepts', () => {
    // See testdata/interop.go.
    const { cosigned }: { cosigned: { policy: string; note: string; mldsaLine: string; mldsaVkey: string } } =
      JSON.parse(readFileSync(new URL('testdata/interop.json', import.meta.url), 'utf8'))
    const result = checkPolicy(parsePolicy(cosigned.policy), cosigned.note)
    expect(result.checkpoint).toMatchObject({ origin: 'example.org/log', size: 70_000 })
    expect(result.witnesses).toEqual(['w1', 'w2'])
    const three = cosigned.policy.replace(
      'group both all',
      `witness w3 ${cosigned.mldsaVkey}\ngroup both all w3`,
    )
    expect(() => checkPolicy(parsePolicy(three), cosigned.note)).toThrow(refused('quorum'))
    expect(checkPolicy(parsePolicy(three), cosigned.note + cosigned.mldsaLine).witnesses).toEqual([
      'w1',
      'w2',
      'w3',
    ])
  })
})
