// The ledger's domain on the real kernel accepts the same signatures as Go's crypto/ed25519.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { build } from '../../microkit/build.mjs'
import { VECTORS } from '../support/ed25519-vectors.ts'
import { Bench, needs, runs } from './machine.ts'

const WAIT = 120_000
const BUILD = 900_000
const MiB = 1024 * 1024

/** Replaces the bundle: checks some signatures at each tick, and logs the numbers of those it accepts. */
const SCRIPT = `;(() => {
  const host = globalThis.host
  const vectors = ${JSON.stringify(
    VECTORS.map((one) => [one.key, one.message, one.signature].map((bytes) => bytes.toString('base64'))),
  )}
  let next = 0
  const some = () => {
    const valid = []
    const end = Math.min(next + 50, vectors.length)
    for (; next < end; next++)
      if (host.ed25519Verify(...vectors[next].map((text) => host.base64Decode(text)))) valid.push(next)
    host.log('valid ' + valid.join())
    if (next < vectors.length) host.timer(1)
    else host.log('checked ' + next)
  }
  const nothing = () => {}
  globalThis.serviceFs = {
    start: () => { host.started(); host.timer(1) },
    tick: some,
    psdb: nothing, opened: nothing, data: nothing, closed: nothing, writable: nothing, signed: nothing, stop: nothing,
  }
})()
`

describe.skipIf(!runs)(`signatures ${needs}`, () => {
  let bench: Bench
  beforeEach(() => {
    bench = new Bench()
  })
  afterEach(() => bench.end())

  it('get the same verdicts as everywhere else', { timeout: BUILD }, async () => {
    writeFileSync(join(bench.folder, 'signatures.js'), SCRIPT)
    const totebox = join(bench.folder, 'signatures.json')
    writeFileSync(
      totebox,
      JSON.stringify({
        tenants: [{ moduleId: 'acme', port: 80, script: './signatures.js' }],
        network: { dhcp: true },
      }),
    )
    const { image } = build({ totebox, name: 'signatures' })
    const appliance = bench.boot({ image, disk: { file: bench.disk() }, keys: { file: bench.disk(MiB) } })
    await appliance.until(new RegExp(`\\[ledger_acme\\] checked ${VECTORS.length}\\n`), WAIT)
    const lines = [...appliance.console.matchAll(/\[ledger_acme\] valid ([\d,]*)/g)]
    const valid = lines.flatMap(([, list]) =>
      list === undefined || list === '' ? [] : list.split(',').map(Number),
    )
    expect(valid).toEqual([...VECTORS.keys()].filter((i) => VECTORS[i]?.valid))
  })
})
