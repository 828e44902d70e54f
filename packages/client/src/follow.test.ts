import { afterEach, describe, expect, it } from 'vitest'
import { ClientError } from './errors.ts'
import { follow, type FollowOptions } from './follow.ts'
import { Connection } from './http.ts'
import { event, problem, serveTurns, stream } from './testing-follow.ts'
import type { TestServer } from './testing.ts'

let server: TestServer
const connections: Connection[] = []
afterEach(async () => {
  for (const connection of connections.splice(0)) await connection.close()
  await server.close()
})

const serving = async (...args: Parameters<typeof serveTurns>): Promise<void> => {
  server = await serveTurns(...args)
}

async function followed(limit: number, options: FollowOptions = {}): Promise<number[]> {
  const connection = new Connection(server.url, { retries: 1 })
  connections.push(connection)
  const seen: number[] = []
  const all = follow(connection, { limit, pauses: { first: 5, longest: 20 }, ...options })
  for await (const { record } of all) seen.push(record.cursor)
  return seen
}

const codeOf = async (promise: Promise<unknown>): Promise<string> => {
  const error = await promise.catch((thrown: unknown) => thrown)
  return error instanceof ClientError ? `${error.code}: ${error.message}` : String(error)
}

describe('follow', () => {
  it('follow resumes after the last record when the stream ends or breaks, or the server is down', async () => {
    const lost: (string | undefined)[] = []
    await serving([
      stream(() => event(1) + event(2), 'end'),
      stream((since) => event(since + 1) + 'id: 4\nevent: rec', 'cut'),
      stream(() => '', 'unfinished'),
      problem(503, 'not-ready'),
      stream((since) => event(since + 1) + 'event: problem\ndata: {"code":"full","status":507}\n\n', 'end'),
      stream((since) => event(since + 1) + event(since + 2)),
    ])
    expect(await followed(6, { lost: (error) => lost.push(error?.code) })).toEqual([1, 2, 3, 4, 5, 6])
    expect(lost).toEqual([undefined, 'connection', 'connection', 'full'])
    expect(server.asked).toEqual(
      ['0', '2', '3', '3', '3', '4'].map((since, i) => {
        return `/v1/follow?since=${since}&limit=${[6, 4, 3, 3, 3, 2][i]}`
      }),
    )
  })

  it('follow reconnects when a stream is silent for too long', async () => {
    await serving([stream(() => event(1)), stream(() => event(2))])
    expect(await followed(2, { silence: 300 })).toEqual([1, 2])
  })

  it('follow parses events in pieces of any size', async () => {
    const bytes = Buffer.from(event(1, 'größer') + ':\n\n' + event(2, '✓'))
    await serving([
      (response) => {
        response.writeHead(200)
        let at = 0
        const next = (): void => {
          if (at < bytes.length) response.write(bytes.subarray(at, ++at), () => setImmediate(next))
        }
        next()
      },
    ])
    expect(await followed(2)).toEqual([1, 2])
  })

  it.each([
    ['a record is missing', event(1) + event(3), [2], 'expected record 2, found 3'],
    ['a record comes twice', event(1) + event(1), [], 'expected record 2, found 1'],
    ['records change places', event(2) + event(1), [1], 'expected record 1, found 2'],
    [
      'an event id does not belong to its record',
      event(1, 1, 2),
      [],
      "expected event id 1, the record's cursor, found 2",
    ],
  ])('follow detects that %s', async (_, text, entries, message) => {
    await serving([stream(() => text)], entries)
    expect(await codeOf(followed(3))).toBe(`false: v1/follow: ${message}`)
  })

  it("follow computes how many entries a record takes, or requests the number from the server if it can't", async () => {
    await serving([stream(() => event(1, 'x'.repeat(130_000)) + event(4) + event(6))])
    expect(await followed(3)).toEqual([1, 4, 6])
    expect(server.asked.slice(1)).toEqual(['/v1/entries/5'])
  })

  it('follow reports a ledger that has lost records which it showed before', async () => {
    await serving([stream(() => event(1), 'end'), problem(400, 'range')])
    expect(await codeOf(followed(2))).toMatch(/^false: the ledger showed record 1 before, but now has fewer/)
  })

  it.each([
    [403, 'forbidden'],
    [400, 'range'],
  ])('follow throws when the first request is refused: %i', async (status, code) => {
    await serving([problem(status, code)])
    expect(await codeOf(followed(1))).toBe(`${code}: it is ${code}`)
  })

  it('follow throws when a later request fails permanently', async () => {
    await serving([stream(() => event(1), 'end'), problem(401, 'unauthenticated')])
    expect(await codeOf(followed(2))).toBe('unauthenticated: it is unauthenticated')
  })

  it.each([
    ['no JSON', 'id: 1\nevent: record\ndata: {\n\n'],
    ['no record', 'id: 1\nevent: record\ndata: {}\n\n'],
    ['not UTF-8', Buffer.from([0x69, 0xff, 0x0a])],
  ])('follow reports that an event is malformed: %s', async (_, text) => {
    await serving([(response) => void response.writeHead(200).write(text)])
    expect(await codeOf(followed(1))).toMatch(/^malformed: /)
  })
})
