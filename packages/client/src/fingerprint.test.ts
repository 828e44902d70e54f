import { expect, it } from 'vitest'
import { fingerprint, randomKey } from './fingerprint.ts'

it('the fingerprint is HalfSipHash-2-4, by the test vectors of its authors', () => {
  // vectors_hsip64 of github.com/veorq/SipHash: the key 00 01 … 07, and the messages 00 01 … of each length.
  const vectors = [
    '218d1f59b9b83cc8',
    'be552412f8387315',
    '064f39ef7c50eb57',
    'ce0f1a45f7060679',
    'd5e78a175be52ea1',
    'cb9d7c3f2f3db580',
    'ce3e91358aa2bc25',
    'ff202728b07bc684',
    'edfee820bce4858c',
    '5b51cccc13888307',
    '95b0469f06a6f2ee',
    'ae26333994ddcd48',
  ]
  for (const [length, expected] of vectors.entries()) {
    const words = new Uint32Array(4)
    const message = Uint8Array.from({ length: length + 2 }, (_, i) => i - 1)
    fingerprint(message, 1, length + 1, [0x03020100, 0x07060504], words, 1)
    expect(Buffer.from(words.buffer, 4, 8).toString('hex'), `length ${length}`).toBe(expected)
  }
})

it('the fingerprint depends on the key', () => {
  const [a, b] = [randomKey(), randomKey()].map((key) => {
    const words = new Uint32Array(2)
    fingerprint(new Uint8Array(5), 0, 5, key, words, 0)
    return words.join()
  })
  expect(a).not.toBe(b)
})
