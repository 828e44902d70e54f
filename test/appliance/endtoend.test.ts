// The appliance in use: the ordinary client fills and verifies it across a power-off and a second boot; then a
// host's own tools unpack and verify the disk.
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serviceFsCommand } from '../support/daemon.ts'
import { Bench, needs, runs } from './machine.ts'
import { Connection, MODULE_ID, serve, shownVkeys, type Served } from './served.ts'

const RECORDS = 10_000
/** How many records the test appends by one request each, and how many by one run of the client each. */
const SINGLE = { requests: 90, runs: 10 }
const FOLDER = 500
const MiB = 1024 * 1024

const payload = (i: number): string =>
  JSON.stringify({ number: i, text: 'all work and no play '.repeat(i % 20) })

/** Files to append, in folders. */
function write(folder: string, count: number): void {
  for (let i = 0; i < count; i++) {
    const place = join(folder, `${Math.floor(i / FOLDER)}`)
    if (i % FOLDER === 0) mkdirSync(place, { recursive: true })
    writeFileSync(join(place, `${i}.json`), payload(i))
  }
}

async function client(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await serviceFsCommand(args)
  expect([code, stderr], args.join(' ')).toEqual([0, ''])
  return stdout
}

/** The members of the client's report that this test checks. */
interface Report {
  ok: boolean
  records: number
  root: string
  pinned: boolean
  audit: Report
}

/** Checks that the place holds all records, signed by the keys; returns the root hash. */
async function verify(place: string, vkeys: readonly string[]): Promise<string> {
  const trusted = vkeys.flatMap((vkey) => ['--vkey', vkey])
  const { ok, records, root, pinned, audit } = JSON.parse(
    await client('verify', place, ...trusted, '--json'),
  ) as Report
  expect([ok, records, pinned, audit.ok, audit.pinned]).toEqual([true, RECORDS, true, true, true])
  return root
}

describe.skipIf(!runs)(`from power-on to tar ${needs}`, () => {
  const bench = new Bench()
  let disk: string
  let keys: string
  beforeAll(() => {
    disk = bench.disk(256 * MiB)
    keys = bench.disk(MiB)
  })
  afterAll(() => bench.end())
  const boot = (): Promise<Served> => serve(bench, { disk: { file: disk }, keys: { file: keys } })

  it(`keeps ${RECORDS} records appended by the ordinary client`, { timeout: 900_000 }, async () => {
    const first = await boot()
    const vkeys = shownVkeys(first.appliance)
    const files = RECORDS - SINGLE.requests - SINGLE.runs
    write(join(bench.folder, 'files'), files)
    let began = performance.now()
    const rate = (count: number): string => `${Math.round((count * 1000) / (performance.now() - began))}/s`
    const text = await client('append', join(bench.folder, 'files'), '--url', first.url)
    expect(text).toContain(`: ${files} appended, 0 there already`)
    const filled = rate(files)
    began = performance.now()
    const connection = new Connection(first)
    for (let i = 0; i < SINGLE.requests; i++)
      await connection.ask('v1/append', [{ payload_id: `request-${i}`, payload: { number: i } }])
    connection.close()
    const alone = rate(SINGLE.requests)
    for (let i = 0; i < SINGLE.runs; i++) {
      const file = join(bench.folder, 'files/0', `${i}.json`)
      await client('append', file, '--id', `run-${i}`, '--url', first.url)
    }
    began = performance.now()
    const root = await verify(first.url, vkeys)
    const verified = rate(RECORDS)
    expect(await first.appliance.stop()).toBe(0)

    const second = await boot()
    expect(shownVkeys(second.appliance)).toEqual(vkeys)
    expect(await verify(second.url, vkeys)).toBe(root)
    expect(await client('get', '--id', 'files/7/3777.json', '--url', second.url)).toBe(payload(3777))
    expect(await second.appliance.stop()).toBe(0)

    const unpacked = join(bench.folder, 'unpacked')
    mkdirSync(unpacked)
    execFileSync('tar', ['-xf', disk, '-C', unpacked])
    expect(await verify(join(unpacked, MODULE_ID), vkeys)).toBe(root)
    const booted = [first, second].map(({ ready }) => `${Math.round(ready)} ms`).join(', then ')
    console.log(
      `boot to ready: ${booted}; appended ${filled} in batches, ${alone} one at a time; verified ${verified}`,
    )
  })
})
