// Tests a data disk that lost its end, and an older copy of a disk: the key disk knows the acknowledged size, and the
// ledger refuses appends.
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { build } from '../../microkit/build.mjs'
import { Bench, needs, runs } from './machine.ts'
import { serve, type Served } from './served.ts'

const MiB = 1024 * 1024
const SECTOR = 512
const BUILD = 900_000

/** Returns the durable size if a sector of the key disk records the last signature (docs/keys.md). */
const isLast = (sector: Buffer): boolean =>
  sector.toString('latin1', 0, 16) === 'service-fs keys\n' && sector.readUInt32LE(20) === 3
const keptOf = (sector: Buffer): number => Number(sector.readBigUInt64LE(108))

const append = (served: Served, id: string): Promise<Response> =>
  fetch(`${served.url}v1/append`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ payload_id: id, payload: id }),
  })

describe.skipIf(!runs)(`a data disk that lost its end ${needs}`, () => {
  let bench: Bench
  let disk: string
  let keys: string
  // This is not part of a test, so that the time of a test covers only the boots.
  beforeAll(() => void build(), BUILD)
  beforeEach(() => {
    bench = new Bench()
    disk = bench.disk(64 * MiB)
    keys = bench.disk(MiB)
  })
  afterEach(() => bench.end())

  const boot = (data: string): Promise<Served> => serve(bench, { disk: { file: data }, keys: { file: keys } })

  /** The largest durable size on the key disk. */
  const kept = (): number => {
    const bytes = readFileSync(keys)
    const sectors = Array.from({ length: bytes.length / SECTOR }, (_, i) =>
      bytes.subarray(i * SECTOR, (i + 1) * SECTOR),
    )
    return Math.max(...sectors.filter(isLast).map(keptOf))
  }

  /** Makes five commits, a copy of the disk after the fourth, and one recorded read. */
  async function filled(): Promise<string> {
    const older = join(bench.folder, 'older.img')
    const served = await boot(disk)
    for (const id of ['r0', 'r1', 'r2', 'r3']) expect((await append(served, id)).status).toBe(200)
    expect((await fetch(`${served.url}v1/records/r0`)).status).toBe(200)
    copyFileSync(disk, older)
    expect((await append(served, 'r4')).status).toBe(200)
    await expect.poll(kept).toBe(5)
    await served.appliance.kill()
    return older
  }

  /** The ledger gives the reason on the console and in /readyz, refuses appends, and serves the rest. */
  async function refuses(data: string): Promise<void> {
    const served = await boot(data)
    // The console breaks long lines.
    const said = served.appliance.console.replace(/\n\[ledger_acme\] /g, '')
    const reason = /the key disk, of the ledger: expected a ledger of at least 5 entries.* found 4 entries/
    expect(said).toMatch(reason)
    const ready = await fetch(`http://127.0.0.1:${served.port}/readyz`)
    expect([ready.status, await ready.text()]).toEqual([503, expect.stringMatching(reason)])
    const refused = await append(served, 'r9')
    expect([refused.status, await refused.json()]).toEqual([
      503,
      expect.objectContaining({ code: 'read-only' }),
    ])
    const shown = await fetch(`${served.url}v1/records/r3`)
    expect([shown.status, await shown.text()]).toEqual([200, expect.stringContaining('r3')])
    expect((await fetch(`${served.url}v1/records/r4`)).status).toBe(503)
    expect(served.appliance.console).not.toContain('is replaced by')
    await served.appliance.kill()
  }

  it('serves read-only an older copy of the disk, and a copy whose last commit is zeroed', async () => {
    const older = await filled()
    const cut = readFileSync(disk)
    const before = readFileSync(older)
    for (let at = 0; at < cut.length; at += SECTOR) {
      const sector = cut.subarray(at, at + SECTOR)
      if (!sector.equals(before.subarray(at, at + SECTOR))) sector.fill(0)
    }
    const zeros = join(bench.folder, 'zeros.img')
    writeFileSync(zeros, cut)
    // Reads are recorded: the first run appends to the audit ledger, so the other disk would lack the end of the audit ledger too.
    const asKept = readFileSync(keys)
    for (const data of [older, zeros]) {
      writeFileSync(keys, asKept)
      await refuses(data)
      expect(kept()).toBe(5)
    }
    writeFileSync(keys, asKept)
    const whole = await boot(disk)
    expect(await (await append(whole, 'r4')).json()).toMatchObject({ cursor: 5, duplicate: true })
    expect((await append(whole, 'r5')).status).toBe(200)
    expect((await fetch(`http://127.0.0.1:${whole.port}/readyz`)).status).toBe(200)
  })

  it('does not open an empty data disk', async () => {
    await filled()
    const empty = bench.disk(64 * MiB)
    const appliance = bench.boot({
      image: build().image,
      disk: { file: empty },
      keys: { file: keys },
    })
    await appliance.until(
      /the key disk, of the audit ledger: expected a ledger of at least 1 entries/,
      60_000,
    )
    await appliance.until(/the ledger could not be opened/, 60_000)
  })
})
