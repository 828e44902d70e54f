// HTTP/1.1 on the appliance on the real kernel: the cases shared by all servers of the wire protocol.
import { ACCEPTED, HOST, MALFORMED, REFUSED } from '@service-fs/wire/http-cases'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { build } from '../../microkit/build.mjs'
import { exchange } from '../hosted/raw-client.ts'
import { Bench, needs, runs } from './machine.ts'
import { Machine } from './subject.ts'

const MiB = 1024 * 1024
/** The appliance's tenant has another name, and answers under any host name. */
const named = (text: string): string => text.replaceAll('Module-ID: test', 'Module-ID: acme')
const refused = REFUSED.filter(([, status]) => status !== 421)

describe.skipIf(!runs)(`the appliance ${needs}`, { timeout: 120_000 }, () => {
  const bench = new Bench()
  let machine: Machine
  beforeAll(async () => {
    const { image } = build()
    machine = await Machine.boot(bench, image, bench.disk(256 * MiB), bench.disk(MiB))
  }, 600_000)
  afterAll(async () => {
    await machine?.dispose()
    await bench.end()
  })

  it.concurrent.each(ACCEPTED)('answers %s', async (_, text) => {
    const last = `GET /healthz HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`
    expect((await exchange(machine.port, named(text + last))).statuses).toEqual([200, 200])
  })

  it.concurrent.each([...MALFORMED.map(([name, text]) => [name, 400, text] as const), ...refused])(
    '%s: %i, and the bytes after it are not a request',
    async (_, status, text) => {
      const behind = `GET /healthz HTTP/1.1\r\n${HOST}\r\n`
      expect((await exchange(machine.port, named(text + behind))).statuses).toEqual([status])
    },
  )
})
