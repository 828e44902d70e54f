import * as fc from 'fast-check'
import { StorageError } from '@service-fs/storage/errors'
import { describe, expect, it } from 'vitest'
import { PsdbClient, type PsdbAnswer } from './client.ts'
import { OPCODE, QUEUE, STATUS } from './message.ts'
import { answerTo, encodeResponse, FakePort } from './testing.ts'

const { READ, SEAL, COMMIT, STAT } = OPCODE
const stat = { opcode: STAT, ledger: 0 } as const

function read(room: number): { opcode: typeof READ; ledger: 0; room: number } {
  return { opcode: READ, ledger: 0, room }
}

function write(length: number): { opcode: typeof SEAL; ledger: 0; bytes: Uint8Array } {
  return { opcode: SEAL, ledger: 0, bytes: new Uint8Array(length).fill(length) }
}

/** The outcome of a promise; undefined while it is pending. */
function outcomes(promises: readonly Promise<PsdbAnswer>[]): (PsdbAnswer | Error | undefined)[] {
  const found: (PsdbAnswer | Error | undefined)[] = promises.map(() => undefined)
  for (const [i, promise] of promises.entries()) {
    promise.then(
      (answer) => (found[i] = answer),
      (error: unknown) => (found[i] = error as Error),
    )
  }
  return found
}

describe('PsdbClient', () => {
  it('sends requests, and takes responses in any order', async () => {
    const port = new FakePort(1024)
    const client = new PsdbClient(port, () => 1_795_372_980_123)
    const first = client.request({ ...write(100), index: 7 })
    const second = client.request(read(200))
    const [one, two] = port.sent
    if (one === undefined || two === undefined) throw new Error('not sent at once')
    expect(one).toMatchObject({ opcode: SEAL, index: 7, offset: 0, length: 100, time: 1_795_372_980 })
    expect(two).toMatchObject({ opcode: READ, offset: 128, length: 200, time: 0 })
    expect(port.region.subarray(0, 100)).toEqual(new Uint8Array(100).fill(100))
    port.region.set([1, 2, 3], 128)
    client.received(answerTo(two, { value: 3, length: 3 }))
    port.region.fill(9)
    expect(await second).toMatchObject({ status: STATUS.OK, value: 3, bytes: new Uint8Array([1, 2, 3]) })
    client.received(answerTo(one, { status: STATUS.CONFLICT }))
    expect(await first).toMatchObject({ status: STATUS.CONFLICT })
  })

  it('ignores and counts messages that match no request', async () => {
    const port = new FakePort(1024)
    const client = new PsdbClient(port, () => 0)
    const answer = client.request(stat)
    const [request] = port.sent
    if (request === undefined) throw new Error('nothing sent')
    client.received(answerTo({ ...request, id: request.id + 1 }))
    client.received(answerTo({ ...request, opcode: COMMIT }))
    client.received(encodeResponse({ id: request.id, opcode: STAT }))
    client.received(new Uint8Array(63))
    client.received(new Uint8Array(0))
    expect(client.ignored).toBe(5)
    client.received(answerTo(request, { value: 5 }))
    expect(await answer).toMatchObject({ value: 5 })
    client.received(answerTo(request))
    expect(client.ignored).toBe(6)
  })

  it.each([
    ['an unknown status', read(8), { status: 7 }, 'status 7'],
    ['another place', read(8), { offset: 64, length: 8 }, 'offset 64, asked for 0'],
    ['more than there is room for', read(8), { length: 9 }, 'length 9, there was room for 8'],
    ['a length beyond the region', read(1024), { length: 0xffffffff }, 'length 4294967295'],
    ['bytes for a write', write(8), { length: 8 }, 'length 8, there was room for 0'],
    ['bytes of nothing', read(8), { status: STATUS.NONE, length: 8 }, 'length 8, there was room for 0'],
    ['no safe integer', stat, { value: 2 ** 53 }, 'a number above 2^53 - 1'],
  ])('fails on %s', async (_, call, fields, message) => {
    const port = new FakePort(1024)
    const client = new PsdbClient(port, () => 0)
    const asked = client.request(call)
    const other = client.request(stat)
    const [request] = port.sent
    if (request === undefined) throw new Error('nothing sent')
    client.received(answerTo(request, fields))
    const error = { code: 'io', message: expect.stringContaining(message) }
    await expect(asked).rejects.toMatchObject(error)
    await expect(other).rejects.toMatchObject(error)
    await expect(client.request(stat)).rejects.toMatchObject(error)
    expect(port.sent).toHaveLength(2)
  })

  it('rejects pending, waiting and later requests when PSDB has ended', async () => {
    const port = new FakePort(1024)
    const client = new PsdbClient(port, () => 0)
    const lost = [client.request(write(1000)), client.request(write(1000)), client.request(stat)]
    expect(port.sent).toHaveLength(1)
    const gone = new StorageError('io', 'gone')
    client.failed(gone)
    client.failed(new StorageError('io', 'gone again'))
    for (const promise of [...lost, client.request(stat)]) await expect(promise).rejects.toBe(gone)
    expect(port.sent).toHaveLength(1)
  })

  it('rejects a request that can never fit the region', async () => {
    const client = new PsdbClient(new FakePort(1000), () => 0)
    const error = { code: 'full', message: 'data region: expected at most 960 bytes, found 961' }
    await expect(client.request(write(961))).rejects.toMatchObject(error)
    await expect(client.request(read(961))).rejects.toMatchObject(error)
  })

  it('clamps the time to the range of a tar header', () => {
    for (const [now, time] of [
      [-5000, 0],
      [8_589_934_591_999, 8_589_934_591],
      [8_589_934_592_000, 8_589_934_591],
    ] as const) {
      const port = new FakePort(1024)
      void new PsdbClient(port, () => now).request(write(1))
      expect(port.sent[0]?.time).toBe(time)
    }
  })

  it('sends in order, within the queue, in places that do not overlap, and resolves all requests', async () => {
    const call = fc.oneof(
      fc.nat(4096).map(write),
      fc.nat(4096).map(read),
      fc.constant(stat),
      fc.constantFrom(4096, 4032).map(write),
    )
    const order = fc.array(fc.nat(), { minLength: 1, maxLength: 50 })
    await fc.assert(
      fc.asyncProperty(fc.array(call, { maxLength: 300 }), order, async (calls, picks) => {
        const port = new FakePort(4096)
        const client = new PsdbClient(port, () => 0)
        const found = outcomes(calls.map((one) => client.request(one)))
        let open = [...port.sent]
        let seen = open.length
        for (let i = 0; open.length > 0; i++) {
          expect(open.length).toBeLessThanOrEqual(QUEUE)
          const places = open.filter(({ length }) => length > 0).sort((a, b) => a.offset - b.offset)
          for (const [n, { offset, length }] of places.entries())
            expect(offset + length).toBeLessThanOrEqual(places[n + 1]?.offset ?? 4096)
          const [request] = open.splice((picks[i % picks.length] ?? 0) % open.length, 1)
          if (request !== undefined) client.received(answerTo(request, { value: request.id }))
          open = [...open, ...port.sent.slice(seen)]
          seen = port.sent.length
        }
        await Promise.resolve()
        expect(port.sent.map(({ opcode }) => opcode)).toEqual(calls.map(({ opcode }) => opcode))
        expect(new Set(port.sent.map(({ id }) => id)).size).toBe(calls.length)
        expect(found.map((answer) => (answer as PsdbAnswer).value)).toEqual(port.sent.map(({ id }) => id))
      }),
    )
  })
})
