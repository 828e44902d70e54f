import { event, problem, serveTurns, stream, time } from '@service-fs/client/testing-follow'
import type { TestServer } from '@service-fs/client/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { buildProgram } from './program.ts'
import { testIo } from './testing.ts'

let server: TestServer
afterEach(() => server.close())

const serving = async (...args: Parameters<typeof serveTurns>): Promise<void> => {
  server = await serveTurns(...args)
}

/** Runs the command against the server. */
async function run(...args: string[]): Promise<ReturnType<typeof testIo>> {
  const io = testIo()
  await buildProgram(io).parseAsync(['node', 'service-fs', 'follow', '--url', server.url, ...args])
  return io
}

describe('service-fs follow', () => {
  it('follow prints one line per record, or each record as the JSON that arrived', async () => {
    await serving([stream((since) => event(since + 1, { b: [1], a: 2 }) + event(since + 2))])
    expect((await run('--limit', '2')).text()).toMatch(
      /^ {7}1 2026-11-22T22:34:32.916Z {9}\d+ application\/json {9}r1\n {7}2 .*r2\n$/,
    )
    const json = (await run('--limit', '1', '--since', '7', '--json')).text()
    expect(json).toBe(
      `{"cursor":8,"payload_id":"r8","type":"application/json","time":"${time}","payload":{"b":[1],"a":2}}\n`,
    )
    const fresh = await run('--limit', '1', '--new')
    expect([fresh.code, fresh.text().trim().split(' ')[0]]).toEqual([0, '3'])
  })

  it('follow exits with status 1 for a missing record, 2 for wrong usage, 3 for a refusal', async () => {
    await serving([stream(() => event(1) + event(3)), problem(403, 'forbidden')], [2])
    expect((await run()).code).toBe(1)
    expect((await run('--limit', '0')).code).toBe(2)
    const refused = await run('--json')
    expect([refused.code, JSON.parse(refused.errors[0] ?? '').error.code]).toEqual([3, 'forbidden'])
  })
})
