// Two tenants' ledgers on the real kernel, used by the ordinary client, with a power cut in between.
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { serviceFs } from '../support/daemon.ts'
import { freePort, run } from '../support/process.ts'
import { Bench, image, needs, runs, variants } from './machine.ts'

const WAIT = 90_000
const BUILD = 900_000
const MiB = 1024 * 1024
const tenants = [
  { moduleId: 'acme', guest: 80 },
  { moduleId: 'globex', guest: 81 },
]

async function command(url: string, moduleId: string, ...args: string[]): Promise<string> {
  const env = { FS_URL: url, FS_MODULE_ID: moduleId }
  const { code, stdout, stderr } = await run('node', [serviceFs, ...args], { env })
  expect(code, stdout + stderr).toBe(0)
  return stdout
}

describe.skipIf(!runs)(`ledgers ${needs}`, () => {
  let bench: Bench
  beforeEach(() => {
    bench = new Bench()
  })
  afterEach(() => bench.end())

  function input(): string {
    const folder = join(bench.folder, 'in')
    mkdirSync(folder)
    for (let i = 0; i < 12; i++) writeFileSync(join(folder, `f${i}`), Buffer.alloc(i * i * 700, i))
    return folder
  }

  const names = variants.map(({ version, config, compiler }) => `SDK ${version}, ${config}, ${compiler}`)
  it.each(names)('keep every acknowledged record over a power cut: %s', { timeout: BUILD }, async (name) => {
    const built = image('ledger', variants[names.indexOf(name)])
    const disks = { disk: { file: bench.disk() }, keys: { file: bench.disk(MiB) } }
    const files = input()
    for (const boot of [0, 1]) {
      const forward = await Promise.all(tenants.map(async ({ guest }) => ({ host: await freePort(), guest })))
      const appliance = bench.boot({ image: built, ...disks, forward })
      for (const [index, { moduleId }] of tenants.entries()) {
        await appliance.until(new RegExp(`\\[ledger_${moduleId}\\] ready after ms: .*\\n`), WAIT)
        const url = `http://127.0.0.1:${forward[index]?.host}/`
        const appended = await command(url, moduleId, 'append', files)
        expect(appended).toContain(
          boot === 0 ? '12 appended, 0 there already' : '0 appended, 12 there already',
        )
        await command(url, moduleId, 'verify')
      }
      expect(appliance.console).not.toContain('faulted')
      await appliance.kill()
    }
    execFileSync('tar', ['-xf', disks.disk.file, '-C', bench.folder])
    for (const { moduleId } of tenants)
      execFileSync('node', [serviceFs, 'verify', join(bench.folder, moduleId)])
  })
})
