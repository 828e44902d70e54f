import type { StorageCapability } from '@service-fs/storage/capability'
import { describe, expect, it } from 'vitest'
import { PsdbClient } from './client.ts'
import { KIND, OPCODE, REQUEST, STATUS, type PsdbResponse } from './message.ts'
import { openPsdbStorage, type PsdbStorage } from './storage.ts'
import { answerTo, FakePort, type SeenRequest } from './testing.ts'

const x = new Uint8Array([120])

/** A storage whose server gives the answers of the test; `region` is its data region. */
function storageWith(
  answer: (request: SeenRequest, region: Uint8Array) => Partial<PsdbResponse>,
  regionBytes = 4 * 1024 * 1024,
): { storage: PsdbStorage; sent: SeenRequest[] } {
  const port = new FakePort(regionBytes)
  const client = new PsdbClient(port, () => 0)
  port.onSend = (request) => client.received(answerTo(request, answer(request, port.region)))
  return { storage: openPsdbStorage(client, 'main'), sent: port.sent }
}

/** Serves one object of these bytes for every READ. */
function respondWith(bytes: Uint8Array) {
  return ({ at, offset, length }: SeenRequest, region: Uint8Array): Partial<PsdbResponse> => {
    const piece = bytes.subarray(at, at + length)
    region.set(piece, offset)
    return { value: bytes.length, length: piece.length }
  }
}

async function starts(storage: StorageCapability): Promise<number[]> {
  const found: number[] = []
  for await (const { start } of storage.tail()) found.push(start)
  return found
}

describe('PsdbStorage', () => {
  it.each([
    [
      'CONFLICT',
      'conflict',
      'origin: it exists with other bytes, or the newest tail file begins there or later',
    ],
    ['FULL', 'full', 'origin: the disk or a table of the storage server is full'],
    ['IO', 'io', 'origin: the disk of the storage server failed'],
    ['CORRUPT', 'corrupt', 'origin: stored data is corrupt'],
    ['NONE', 'io', 'origin: the storage server has no such object'],
    ['INVALID', 'io', 'origin: the storage server rejected the field size'],
  ] as const)('has an error for %s', async (status, code, message) => {
    const { storage } = storageWith(() => ({ status: STATUS[status], field: REQUEST.size }))
    await expect(storage.seal({ kind: 'origin' }, x)).rejects.toMatchObject({ code, message })
    if (status === 'NONE') expect(await storage.read({ kind: 'origin' })).toBe(undefined)
    else await expect(storage.read({ kind: 'origin' })).rejects.toMatchObject({ code, message })
  })

  it('reads an object longer than one request can carry in pieces', async () => {
    const bytes = new Uint8Array(300_000).map((_, i) => i % 251)
    const { storage, sent } = storageWith(respondWith(bytes), 100_032)
    expect(await storage.read({ kind: 'bundle', index: 0 })).toEqual(bytes)
    expect(sent.map(({ at, length }) => [at, length])).toEqual([
      [0, 100_032],
      [100_032, 100_032],
      [200_064, 99_936],
    ])
  })

  it('reads a short object with one request', async () => {
    const { storage, sent } = storageWith(respondWith(new Uint8Array(11_520)))
    await storage.read({ kind: 'tile', level: 0, index: 0 })
    await storage.read({ kind: 'bundle', index: 0 })
    expect(sent.map(({ length }) => length)).toEqual([11_520, 262_144])
  })

  it('takes the checkpoint from one response, however often it is replaced', async () => {
    let version = 0
    const { storage, sent } = storageWith((request, region) => {
      version = Math.min(5, version + 1)
      return respondWith(new Uint8Array(version * 3000).fill(version))(request, region)
    })
    expect(await storage.read({ kind: 'checkpoint' })).toEqual(new Uint8Array(3000).fill(1))
    expect(await storage.read({ kind: 'checkpoint' })).toEqual(new Uint8Array(5 * 3000).fill(5))
    expect(sent.every(({ at, kind }) => at === 0 && kind === KIND.CHECKPOINT)).toBe(true)
  })

  it('rejects objects larger than their kind allows', async () => {
    const { storage } = storageWith(respondWith(new Uint8Array(11_521)))
    const message = 'tile/0/000.b64: expected at most 11520 bytes, found 11521'
    await expect(storage.read({ kind: 'tile', level: 0, index: 0 })).rejects.toMatchObject({
      code: 'corrupt',
      message,
    })
  })

  it.each([
    ['fewer bytes', { value: 10, length: 9 }],
    ['another length for the second piece', { value: 70_000, length: 4096 }],
  ])('does not believe %s', async (_, fields) => {
    const { storage } = storageWith(({ at }) => (at === 0 ? fields : { value: 8192, length: 4096 }), 4096)
    await expect(storage.read({ kind: 'bundle', index: 0 })).rejects.toMatchObject({ code: 'io' })
  })

  it('lists the tail in pages, and always ends', async () => {
    const all = Array.from({ length: 1300 }, (_, i) => i * 2)
    const page = ({ opcode, index, offset, length }: SeenRequest, region: Uint8Array) => {
      if (opcode !== OPCODE.TAIL) return { status: STATUS.NONE }
      const left = all.filter((start) => start >= index)
      const put = left.slice(0, length / 8)
      const view = new DataView(region.buffer, offset)
      for (const [i, start] of put.entries()) view.setBigUint64(i * 8, BigInt(start), true)
      return { value: left.length, length: put.length * 8 }
    }
    const { storage, sent } = storageWith(page)
    await expect(storage.beginTail(2598, 2599, x)).rejects.toMatchObject({ code: 'conflict' })
    expect(sent.filter(({ opcode }) => opcode === OPCODE.TAIL)).toHaveLength(3)
    for (const fields of [
      { value: 1, length: 0 },
      { value: 1, length: 16 },
      { value: 2, length: 16 },
    ]) {
      const lying = storageWith(() => fields).storage
      await expect(starts(lying)).rejects.toMatchObject({ code: 'io' })
    }
  })

  it('reports that a tail file is missing', async () => {
    const { storage } = storageWith(({ opcode }, region) => {
      if (opcode !== OPCODE.TAIL) return { status: STATUS.NONE }
      region.fill(0, 0, 8)
      return { value: 1, length: 8 }
    })
    await expect(starts(storage)).rejects.toMatchObject({ code: 'no-tail' })
  })

  it('returns the state of the disk', async () => {
    const { storage } = storageWith(() => ({ value: 1000, extra: 200, index: 3 }))
    expect(await storage.stat()).toEqual({ sectors: 1000, free: 200, bundles: 3 })
  })
})
