import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseCheckpointText } from './checkpoint.ts'
import { pureCodec } from './codec.ts'
import {
  checkpointCosignatureMessage,
  ed25519CosignatureMessage,
  formatTimestampedSignature,
  parseTimestampedSignature,
  subtreeMessage,
} from './cosignature.ts'
import { parseNote } from './note.ts'

const refused = (code: string): unknown => expect.objectContaining({ name: 'TlogError', code })
const ROOT = 'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I='
const text = `example.com/behind-the-sofa\n20852163\n${ROOT}\n`

const u64 = (n: number): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(n))
  return bytes
}

describe('messages', () => {
  it('messages equal the example of tlog-cosignature (0x04)', () => {
    const message = pureCodec.utf8Decode(ed25519CosignatureMessage(1_679_315_147, text))
    expect(message).toBe(`cosignature/v1
time 1679315147
example.com/behind-the-sofa
20852163
${ROOT}
`)
  })

  it('messages contain the extension lines (0x04), or do not (0x06)', () => {
    const more = `${text}more\n`
    expect(pureCodec.utf8Decode(ed25519CosignatureMessage(0, more)).endsWith('\nmore\n')).toBe(true)
    expect(checkpointCosignatureMessage('w', 1, parseCheckpointText(more))).toEqual(
      checkpointCosignatureMessage('w', 1, parseCheckpointText(text)),
    )
  })

  it('messages equal those of an implementation with cryptobyte (0x06)', () => {
    // See testdata/interop.go.
    const {
      cosigned,
    }: { cosigned: { note: string; mldsaName: string; mldsaTime: number; mldsaMessage: string } } =
      JSON.parse(readFileSync(new URL('testdata/interop.json', import.meta.url), 'utf8'))
    const checkpoint = parseCheckpointText(parseNote(cosigned.note).text)
    const message = checkpointCosignatureMessage(cosigned.mldsaName, cosigned.mldsaTime, checkpoint)
    expect(Buffer.from(message).toString('hex')).toBe(cosigned.mldsaMessage)
  })

  it('messages have the layout of the structure', () => {
    const index = fc.maxSafeNat()
    fc.assert(
      fc.property(index, index, (timestamp, end) => {
        const message = Buffer.from(
          subtreeMessage({ cosigner: 'wé', timestamp, origin: 'o', start: 0, end, hash: ROOT }),
        )
        const expected = [
          Buffer.from('subtree/v1\n\0\x03wé'),
          u64(timestamp),
          Buffer.from('\x01o'),
          u64(0),
          u64(end),
          Buffer.from(ROOT, 'base64'),
        ]
        expect(message.equals(Buffer.concat(expected))).toBe(true)
      }),
    )
  })

  const subtree = { cosigner: 'w', timestamp: 0, origin: 'o', start: 0, end: 1, hash: ROOT }
  it.each([
    [0, 0],
    [0, 7],
    [8, 9],
    [8, 13],
    [8, 16],
    [6, 8],
    [7, 8],
    [2 ** 40, 2 ** 41],
    [2 ** 52, 2 ** 53 - 1],
  ])('a message may be about the subtree [%d, %d)', (start, end) => {
    expect(subtreeMessage({ ...subtree, start, end })).toHaveLength(12 + 2 + 8 + 2 + 8 + 8 + 32)
  })

  it.each([
    { start: 1, end: 1 },
    { start: 2, end: 1 },
    { start: 1, end: 3 },
    { start: 4, end: 9 },
    { start: 6, end: 9 },
    { start: 2 ** 40, end: 2 ** 41 + 1 },
    { end: 2 ** 53 },
    { start: -1 },
    { end: -1 },
    { start: 4, end: 5, timestamp: 1 },
    { timestamp: -1 },
    { timestamp: 0.5 },
    { cosigner: '' },
    { cosigner: 'é'.repeat(128) },
    { origin: '' },
    { origin: 'o'.repeat(256) },
  ])('reject %j', (change) => {
    expect(() => subtreeMessage({ ...subtree, ...change })).toThrow(refused('cosignature'))
  })

  it('messages require a checkpoint and a valid time', () => {
    expect(() => ed25519CosignatureMessage(1, 'a\n')).toThrow(refused('checkpoint'))
    expect(() => ed25519CosignatureMessage(-1, text)).toThrow(refused('cosignature'))
    expect(() => subtreeMessage({ ...subtree, hash: 'AAAA' })).toThrow(refused('hash'))
  })
})

describe('timestamped signatures', () => {
  it('parsing a formatted timestamped signature returns the same signature', () => {
    fc.assert(
      fc.property(
        fc.maxSafeNat(),
        fc.uint8Array({ minLength: 64, maxLength: 64 }),
        (timestamp, signature) => {
          const bytes = formatTimestampedSignature({ timestamp, signature })
          expect(Buffer.from(bytes).readBigUInt64BE()).toBe(BigInt(timestamp))
          expect(parseTimestampedSignature(bytes, 64)).toEqual({ timestamp, signature })
        },
      ),
    )
  })

  it('timestamped signatures with another length or a time beyond 2^53 - 1 are rejected', () => {
    for (const length of [0, 8, 64, 71, 73]) {
      expect(() => parseTimestampedSignature(new Uint8Array(length), 64)).toThrow(refused('cosignature'))
    }
    for (const time of [2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n]) {
      const bytes = Buffer.alloc(72)
      bytes.writeBigUInt64BE(time)
      expect(() => parseTimestampedSignature(bytes, 64)).toThrow(refused('cosignature'))
    }
    for (const timestamp of [-1, 0.5, NaN, 2 ** 53]) {
      expect(() => formatTimestampedSignature({ timestamp, signature: new Uint8Array(64) })).toThrow(
        refused('cosignature'),
      )
    }
  })
})
