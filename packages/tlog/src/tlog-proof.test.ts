import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatCheckpointText } from './checkpoint.ts'
import { pureCodec } from './codec.ts'
import { Edge } from './edge.ts'
import { bytesHash, nobleHasher } from './hash.ts'
import { formatSignerKey, signerFromKey } from './keys.ts'
import { signNote } from './note.ts'
import { parsePolicy } from './policy.ts'
import { computeProof, inclusionPlan } from './proof.ts'
import { formatTlogProof, parseTlogProof, verifyTlogProof } from './tlog-proof.ts'

const refused = (code: string): unknown => expect.objectContaining({ name: 'TlogError', code })

// Made and verified by filippo.io/torchwood for the entry `entry 4711`: see testdata/interop.go.
const { cosigned }: { cosigned: { policy: string; proof: string; index: number; note: string } } = JSON.parse(
  readFileSync(new URL('testdata/interop.json', import.meta.url), 'utf8'),
)
const entry = (n: number): string => nobleHasher.leaf(pureCodec.utf8Encode(`entry ${n}`))
const policy = parsePolicy(cosigned.policy)
const proof = cosigned.proof

describe('a proof of torchwood', () => {
  it('verifies', () => {
    const verified = verifyTlogProof(proof, entry(4711), policy)
    expect(verified).toMatchObject({ index: 4711, witnesses: ['w1', 'w2'], checkpoint: { size: 70_000 } })
    expect(pureCodec.utf8Decode(verified.extra!)).toBe('opaque')
  })

  it('formats and parses as inverses', () => {
    const parsed = parseTlogProof(proof)
    expect(parsed.checkpoint).toBe(cosigned.note)
    expect(formatTlogProof(parsed)).toBe(proof)
    const { extra: _, ...bare } = parsed
    expect(formatTlogProof(bare)).toBe(proof.replace(/extra .*\n/, ''))
    expect(parseTlogProof(formatTlogProof(bare))).toEqual(bare)
    expect(verifyTlogProof(formatTlogProof(bare), entry(4711), policy)).not.toHaveProperty('extra')
  })

  it('does not verify for another entry, index, tree or policy', () => {
    expect(() => verifyTlogProof(proof, entry(4712), policy)).toThrow(refused('inclusion'))
    expect(() => verifyTlogProof(proof.replace('index 4711', 'index 4712'), entry(4711), policy)).toThrow(
      refused('inclusion'),
    )
    expect(() => verifyTlogProof(proof.replace('index 4711', 'index 70000'), entry(4711), policy)).toThrow(
      refused('inclusion'),
    )
    expect(() => verifyTlogProof(proof.replace('70000', '70001'), entry(4711), policy)).toThrow(
      refused('signature'),
    )
    expect(() => verifyTlogProof(proof, entry(4711), parsePolicy('quorum none\n'))).toThrow(
      refused('unverified'),
    )
    const alone = proof.replaceAll(/— witness.*\n/g, '')
    expect(() => verifyTlogProof(alone, entry(4711), policy)).toThrow(refused('quorum'))
    const unsigned = proof.replace(/— example.org.*\n/, '')
    expect(() => verifyTlogProof(unsigned, entry(4711), policy)).toThrow(refused('origin'))
    const dropped = parseTlogProof(proof)
    dropped.hashes.pop()
    expect(() => verifyTlogProof(formatTlogProof(dropped), entry(4711), policy)).toThrow(refused('inclusion'))
  })
})

describe('parseTlogProof', () => {
  const first = 'c2sp.org/tlog-proof@v1'
  const hash = bytesHash(new Uint8Array(32))
  const rest = `\n${cosigned.note}`
  it('requires only an index and a checkpoint', () => {
    expect(parseTlogProof(`${first}\nindex 0\n${rest}`)).toEqual({
      index: 0,
      hashes: [],
      checkpoint: cosigned.note,
    })
    expect(
      parseTlogProof(`${first}\nindex 9007199254740991\n${`${hash}\n`.repeat(53)}${rest}`).hashes,
    ).toHaveLength(53)
  })

  it.each<[string, string]>([
    ['nothing', ''],
    ['a note', cosigned.note],
    ['another version', `c2sp.org/tlog-proof@v2\nindex 0\n${rest}`],
    ['a space after the first line', `${first} \nindex 0\n${rest}`],
    ['carriage returns', proof.replaceAll('\n', '\r\n')],
    ['an empty line in front', `\n${proof}`],
    ['no index', `${first}\n${rest}`],
    ['an index without a number', `${first}\nindex \n${rest}`],
    ['an index with a leading zero', `${first}\nindex 00\n${rest}`],
    ['a negative index', `${first}\nindex -1\n${rest}`],
    ['an index of 2^53', `${first}\nindex 9007199254740992\n${rest}`],
    ['two spaces before the index', `${first}\nindex  1\n${rest}`],
    ['a space after the index', `${first}\nindex 1 \n${rest}`],
    ['two indexes', `${first}\nindex 1\nindex 1\n${rest}`],
    ['an empty extra', `${first}\nextra \nindex 1\n${rest}`],
    ['extra without a space', `${first}\nextra\nindex 1\n${rest}`],
    ['extra that is not canonical', `${first}\nextra AB==\nindex 1\n${rest}`],
    ['extra without padding', `${first}\nextra AA\nindex 1\n${rest}`],
    ['two extras', `${first}\nextra AAAA\nextra AAAA\nindex 1\n${rest}`],
    ['extra after the index', `${first}\nindex 1\nextra AAAA\n${rest}`],
    ['a hash of 31 bytes', `${first}\nindex 1\n${Buffer.alloc(31).toString('base64')}\n${rest}`],
    ['a hash in hexadecimal', `${first}\nindex 1\n${'00'.repeat(32)}\n${rest}`],
    ['a hash that is not canonical', `${first}\nindex 1\n${hash.replace('A=', 'B=')}\n${rest}`],
    ['54 hashes', `${first}\nindex 1\n${`${hash}\n`.repeat(54)}${rest}`],
    ['no checkpoint', `${first}\nindex 1\n\n`],
    ['no empty line before the checkpoint', `${first}\nindex 1\n${cosigned.note}`],
    ['two empty lines before the checkpoint', `${first}\nindex 1\n\n${rest}`],
    ['an unsigned checkpoint', `${first}\nindex 1\n\n${cosigned.note.split('\n\n')[0]}\n`],
    ['a note that is no checkpoint', `${first}\nindex 1\n\nhello\n\n${cosigned.note.split('\n\n')[1]}`],
    ['something after the checkpoint', `${proof}\n`],
  ])('rejects %s', (_name, text) => {
    expect(() => parseTlogProof(text)).toThrow(refused('proof'))
    expect(() => verifyTlogProof(text, hash, policy)).toThrow(refused('proof'))
  })

  it.each([
    { index: -1 },
    { index: 0.5 },
    { index: 2 ** 53 },
    { hashes: ['AAAA'] },
    { hashes: Array.from({ length: 54 }, () => hash) },
    { extra: new Uint8Array(0) },
    { checkpoint: '' },
    { checkpoint: `${cosigned.note}\n` },
  ])('does not format %j', (change) => {
    const whole = { index: 0, hashes: [], checkpoint: cosigned.note, ...change }
    expect(() => formatTlogProof(whole)).toThrow(refused('proof'))
  })
})

describe('proofs of a small log', () => {
  it('verify for every entry, with any extra data', async () => {
    const signer = signerFromKey(
      formatSignerKey({ name: 'example.org/small', type: 1, seed: new Uint8Array(32).fill(3) }),
    )
    const small = parsePolicy(`log ${signer.vkey}\nquorum none\n`)
    const edge = new Edge()
    const leaves = Array.from({ length: 13 }, (_, n) => entry(n))
    for (const leaf of leaves) edge.append(leaf)
    const text = formatCheckpointText({
      origin: 'example.org/small',
      size: 13,
      root: edge.root(),
      extensions: [],
    })
    const checkpoint = await signNote(text, [signer])
    fc.assert(
      fc.property(fc.nat(12), fc.uint8Array({ minLength: 1, maxLength: 100 }), (index, extra) => {
        const hashes = computeProof(inclusionPlan(index, 13), () => leaves)
        const verified = verifyTlogProof(
          formatTlogProof({ extra, index, hashes, checkpoint }),
          leaves[index]!,
          small,
        )
        expect(verified).toMatchObject({ index, extra, checkpoint: { root: edge.root() } })
      }),
      { numRuns: 30 },
    )
  })
})
