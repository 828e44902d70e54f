import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameReader, frameHead, HELLO } from './frames.ts'

const message = fc.uint8Array({ minLength: 64, maxLength: 64 })
const frame = fc.tuple(fc.constantFrom(0, 1, 30, HELLO), message, fc.uint8Array({ maxLength: 200 }))

function max(channel: number): number {
  return channel < 2 ? 100 : -1
}

function head(channel: number, bytes: number): Uint8Array {
  return frameHead(channel, new Uint8Array(64), bytes)
}

function reader(): FrameReader {
  return new FrameReader(max, () => undefined)
}

describe('FrameReader', () => {
  it('assembles frames from chunks of any size', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.nat(150)), (frames, cuts) => {
        const found: unknown[] = []
        const frameReader = new FrameReader(
          () => 200,
          (...parts) => found.push(parts),
        )
        const stream = Buffer.concat(
          frames.flatMap(([to, text, data]) => [frameHead(to, text, data.length), data]),
        )
        let at = 0
        for (const cut of [...cuts, stream.length]) {
          const chunk = stream.subarray(at, at + cut)
          frameReader.push(chunk)
          chunk.fill(0)
          at += cut
        }
        expect(found).toEqual(frames)
      }),
    )
  })

  it('refuses invalid channels and lengths', () => {
    expect(() => reader().push(head(1, 100))).not.toThrow()
    expect(() => reader().push(head(1, 101))).toThrow(
      'channel 1: expected at most 100 bytes of data, found 101',
    )
    expect(() => reader().push(head(0, 2 ** 32 - 1))).toThrow('bytes of data, found 4294967295')
    expect(() => reader().push(head(2, 0))).toThrow('unknown channel 2')
    expect(() => reader().push(head(HELLO, 0))).toThrow('unknown channel 4294967295')
  })
})
