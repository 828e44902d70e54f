import { once } from 'node:events'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { AppendLimits, NewRecord } from '@service-fs/client/append'
import { sha256Hex } from '@service-fs/native/native'
import { BAD_RECORDS } from '@service-fs/wire/conformance'
import { lineBatches } from './record-lines.ts'

const LIMITS: AppendLimits = { lines: 1000, bytes: 4e6, payload: 1e6 }

interface ReadLines {
  /** For each record its id, type, and payload as text. */
  records: string[][]
  batches: NewRecord[][]
  refused: string[]
}

async function readLines(
  input: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { prefix, ...limits }: Partial<AppendLimits> & { prefix?: string } = {},
): Promise<ReadLines> {
  const refused: string[] = []
  const batches: NewRecord[][] = []
  const options = {
    limits: { ...LIMITS, ...limits },
    prefix,
    refused: (name: string, reason: string): void => void refused.push(`${name}: ${reason}`),
  }
  const chunks = (async function* () {
    yield* input
  })()
  for await (const batch of lineBatches(chunks, options)) batches.push(batch)
  return {
    records: batches
      .flat()
      .map(({ id, type, payload }) => [id, type, Buffer.from(payload).toString('latin1')]),
    batches,
    refused,
  }
}

const INPUT = [
  '{"payload_id":"a","payload":{"b":1,"a":2}}',
  '{"payload_id":"é","payload":"ü","type":"x/y"}',
  '{"type":"text/plain","payload_id":"c","payload_base64":"aGk="}',
  ' {"payload": [1.0, "x"] , "payload_id":"d"}\r',
].join('\n')

const RECORDS = [
  ['a', 'application/json', '{"a":2,"b":1}'],
  ['é', 'x/y', Buffer.from('"ü"').toString('latin1')],
  ['c', 'text/plain', 'hi'],
  ['d', 'application/json', '[1,"x"]'],
]

it('the records are the same however the bytes of the lines arrive', async () => {
  const bytes = Buffer.from(INPUT)
  for (const end of ['', '\n']) {
    const input = Buffer.from(INPUT + end)
    for (const size of [1, 2, 3, 7, 50, bytes.length, 1000]) {
      const chunks = []
      for (let at = 0; at < input.length; at += size) chunks.push(input.subarray(at, at + size))
      expect(await readLines(chunks), `chunks of ${size}`).toMatchObject({ records: RECORDS, refused: [] })
    }
  }
})

it('any bytes are split into their lines', async () => {
  const piece = fc.uint8Array({ maxLength: 12 }).map((bytes) => bytes.map((byte) => (byte < 60 ? 10 : byte)))
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 8 }), async (chunks) => {
      const lines = Buffer.concat(chunks).toString('latin1').split('\n')
      if (lines.at(-1) === '') lines.pop()
      const { records, refused } = await readLines(chunks)
      expect([records, refused.map((text) => text.split(':')[0])]).toEqual([
        [],
        lines.map((_, i) => `line ${i + 1}`),
      ])
    }),
  )
})

it('each line without a valid record is named, and the other lines are read', async () => {
  const good = '{"payload_id":"good","payload":1}'
  const lines: string[] = []
  // The server's batch parser can't reject two of the lines by name: the empty line, and the line without an id.
  const bad = BAD_RECORDS.filter(([text]) => text !== '{"payload":1}')
  for (const [text] of bad) lines.push(good, text)
  const { records, refused } = await readLines([Buffer.from(lines.join('\n'))])
  expect(records).toHaveLength(bad.length)
  expect(refused.map((text) => text.split(': ').slice(0, 2))).toEqual(
    bad.map(([, field], i) => [`line ${2 * i + 2}`, field]),
  )
  const invalid = Buffer.concat([Buffer.from(`${good}\n"`), Buffer.of(0xff), Buffer.from(`"\n${good}\n\0\n`)])
  expect(await readLines([invalid])).toMatchObject({
    records: [1, 2].map(() => ['good', 'application/json', '1']),
    refused: [
      'line 2: body: expected UTF-8, found invalid bytes',
      'line 4: body: expected text without NUL bytes, found a NUL byte',
    ],
  })
})

/** Returns the hash in the id of a record of this type with the payload 1. */
function digest(type: string): string {
  return sha256Hex(Buffer.from(`${type}\n1`)).slice(0, 32)
}

it('a record without an id gets an id that depends on its line, type and payload', async () => {
  const input = [
    '{"payload":1}',
    '{"payload":1}',
    '{"payload":1,"type":"a/b"}',
    '{"payload_id":"x","payload":2}',
  ]
  const { records } = await readLines([Buffer.from(input.join('\n'))], { prefix: 'log/' })
  expect(records.map(([id]) => id)).toEqual([
    `log/1-${digest('application/json')}`,
    `log/2-${digest('application/json')}`,
    `log/3-${digest('a/b')}`,
    'log/x',
  ])
  const long = `{"payload_id":"${'x'.repeat(253)}","payload":1}`
  const { refused } = await readLines([Buffer.from(long)], { prefix: 'log/' })
  expect(refused).toEqual(['line 1: payload_id with the prefix: expected 1 to 256 bytes, found 257'])
})

it('a payload or a line that is too long is refused, and the lines after it are read', async () => {
  const long = `{"payload_id":"long","payload":"${'x'.repeat(3000)}"}\n`
  const fine = '{"payload_id":"fine","payload":1}\n'
  const limits = { payload: 100 }
  expect(await readLines([Buffer.from(fine + long + fine)], limits)).toMatchObject({
    records: [1, 2].map(() => ['fine', 'application/json', '1']),
    refused: ['line 2: payload: expected at most 100 bytes of payload, found 3002'],
  })
  const pieces = (function* () {
    yield Buffer.from(`${fine}{"payload_id":"endless","payload":"`)
    for (let i = 0; i < 100; i++) yield Buffer.alloc(1000, 'x')
    yield Buffer.from(`"}\n${fine}`)
  })()
  expect(await readLines(pieces, limits)).toMatchObject({
    records: [1, 2].map(() => ['fine', 'application/json', '1']),
    refused: ['line 2: expected at most 4232 bytes, found more'],
  })
})

it('a batch ends at its limits, and when no more input arrives', async () => {
  const lines = Array.from(
    { length: 10 },
    (_, i) => `{"payload_id":"${i}","payload":"${'x'.repeat(1000)}"}\n`,
  )
  const input = [Buffer.from(lines.join(''))]
  const sizes = async (limits: Partial<AppendLimits>): Promise<number[]> =>
    (await readLines(input, limits)).batches.map((batch) => batch.length)
  expect(await sizes({ lines: 4 })).toEqual([4, 4, 2])
  expect(await sizes({ bytes: 5000 })).toEqual([3, 3, 3, 1])
  const batchSeen = new EventTarget()
  const seen = once(batchSeen, 'seen')
  const slow = (async function* () {
    yield Buffer.from(`${lines[0]}${lines[1]}{"payload_id":`)
    await seen
    yield Buffer.from('"last","payload":1}')
  })()
  const options = { limits: LIMITS, refused: (): void => undefined }
  const ids: string[][] = []
  for await (const batch of lineBatches(slow, options)) {
    ids.push(batch.map(({ id }) => id))
    batchSeen.dispatchEvent(new Event('seen'))
  }
  expect(ids).toEqual([['0', '1'], ['last']])
})

it('reading lines fails when the input fails', async () => {
  const broken = (async function* () {
    yield Buffer.from('{"payload_id":"a","payload":1}\n')
    throw new Error('broken pipe')
  })()
  await expect(readLines(broken)).rejects.toThrow('broken pipe')
})
