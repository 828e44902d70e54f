import { describe, expect, it } from 'vitest'
import { settled, TestHttp, type Peer } from './testing.ts'

const GET = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'

/** A body whose chunks the test provides. It records how it is read. */
class Source implements AsyncIterableIterator<Uint8Array> {
  asked = 0
  isReturned = false
  #give: ((result: IteratorResult<Uint8Array>) => void) | undefined;

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    this.asked += 1
    return new Promise((resolve) => (this.#give = resolve))
  }

  return(): Promise<IteratorResult<Uint8Array>> {
    this.isReturned = true
    this.#give?.({ done: true, value: undefined })
    return Promise.resolve({ done: true, value: undefined })
  }

  async give(value: Uint8Array | undefined): Promise<void> {
    this.#give?.(value === undefined ? { done: true, value } : { done: false, value })
    await settled()
  }
}

async function streaming(
  http: TestHttp = new TestHttp(),
): Promise<{ http: TestHttp; peer: Peer; source: Source }> {
  const source = new Source()
  http.answer = async () => ({ status: 200, headers: {}, body: source })
  const peer = http.connect()
  peer.send(GET)
  await settled()
  return { http, peer, source }
}

const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(0x61)

describe('a stream', () => {
  it('is sent chunk by chunk, each after the previous one is sent', async () => {
    const { http, peer, source } = await streaming()
    expect(peer.received).toMatch(
      /^HTTP\/1\.1 200 OK\r\ntransfer-encoding: chunked\r\n.*connection: close\r\n\r\n$/s,
    )
    expect([source.asked, http.answered]).toEqual([1, ['GET 200']])
    http.hasRoom = false
    await source.give(bytes(3))
    expect([peer.received.endsWith('\r\n\r\n3\r\naaa\r\n'), source.asked]).toEqual([true, 1])
    http.hasRoom = true
    peer.drain()
    await settled()
    expect(source.asked).toBe(2)
    await source.give(undefined)
    expect([peer.received.endsWith('3\r\naaa\r\n0\r\n\r\n'), peer.isClosed]).toEqual([true, true])
    expect([http.answered, http.server.connections]).toEqual([['GET 200'], 0])
  })

  it('is sent in parts of 64 KiB if a chunk is large', async () => {
    const { http, peer, source } = await streaming()
    const before = peer.received.length
    http.hasRoom = false
    await source.give(bytes(200_000))
    const sent: number[] = []
    for (let at = before; source.asked === 1;) {
      sent.push(peer.received.length - at)
      at = peer.received.length
      peer.drain()
      await settled()
    }
    expect(sent.map((length) => length > 65_536 + 20)).toEqual([false, false, false, false])
    expect(
      peer.received
        .match(/a+/g)
        ?.slice(-4)
        .map((part) => part.length),
    ).toEqual([65_536, 65_536, 65_536, 3392])
  })

  it('ends when the peer disconnects or ends its side', async () => {
    for (const leave of [(peer: Peer) => peer.vanish(), (peer: Peer) => peer.end()]) {
      const { http, peer, source } = await streaming()
      leave(peer)
      await settled()
      expect([source.isReturned, http.server.connections, http.reports]).toEqual([true, 0, []])
    }
  })

  it('ends at once if the peer left before it began', async () => {
    const http = new TestHttp()
    const source = new Source()
    const gates: (() => void)[] = []
    http.answer = () =>
      new Promise((resolve) => gates.push(() => resolve({ status: 200, headers: {}, body: source })))
    for (const leave of [(peer: Peer) => peer.vanish(), (peer: Peer) => peer.end()]) {
      source.isReturned = false
      const peer = http.connect()
      peer.send(GET)
      leave(peer)
      await settled()
      gates.pop()?.()
      await settled()
      expect([source.isReturned, source.asked, http.server.connections]).toEqual([true, 0, 0])
    }
  })

  it('may last for hours, and is cut off if the peer reads nothing for too long', async () => {
    const { http, peer, source } = await streaming(new TestHttp({ idleTimeout: 5000 }))
    for (let i = 0; i < 10; i++) {
      http.advance(4000)
      await source.give(bytes(1))
    }
    expect(peer.isClosed).toBe(false)
    http.advance(60_000)
    http.hasRoom = false
    await source.give(bytes(1))
    http.advance(4000)
    expect(peer.isClosed).toBe(false)
    http.advance(2100)
    await settled()
    expect([peer.isClosed, source.isReturned]).toEqual([true, true])
  })

  it('ends when the server stops, even if its peer reads nothing', async () => {
    const { http, peer, source } = await streaming()
    const other = new Source()
    http.answer = async () => ({ status: 200, headers: {}, body: other })
    const stalled = http.connect()
    stalled.send(GET)
    await settled()
    http.hasRoom = false
    await other.give(bytes(1))
    http.hasRoom = true
    const stopped = http.server.stop(10_000)
    await settled()
    expect([stalled.isClosed, other.isReturned, peer.isClosed]).toEqual([true, true, false])
    await source.give(undefined)
    await stopped
    expect([peer.isClosed, peer.received.endsWith('0\r\n\r\n')]).toEqual([true, true])
  })
})
