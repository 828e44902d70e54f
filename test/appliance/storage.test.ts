// PSDB on the real kernel: a test program in the ledger's place writes to a virtio disk and reads it back.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Disk } from '../../qemu/run.mjs'
import { Bench, image, member, members, needs, runs, seeded, variants } from './machine.ts'

const MiB = 1024 * 1024
const WAIT = 60_000
const tenants = ['acme', 'globex']

const written = (tenant: string) =>
  [
    '',
    'origin',
    'keys/main.vkey',
    'tail/000000000000',
    'tail/000000000003',
    'tile/0/000.b64',
    'tile/entries/000.b64',
    'tail/000000000256',
    'audit/tail/000000000000',
    'checkpoint',
    'audit/checkpoint',
    'checkpoint',
  ].map((name) => `${tenant}/${name}`)

describe.skipIf(!runs)(`storage ${needs}`, () => {
  let bench: Bench
  beforeEach(() => {
    bench = new Bench()
  })
  afterEach(() => bench.end())

  const names = variants.map(({ version, config, compiler }) => `SDK ${version}, ${config}, ${compiler}`)
  it.each(names)('keeps everything over a power cut: %s', async (name) => {
    const built = image('storage', variants[names.indexOf(name)])
    const file = bench.disk()
    for (const found of ['empty', 'written to']) {
      const appliance = bench.boot({ image: built, disk: { file } })
      for (const tenant of tenants) {
        await appliance.until(new RegExp(`\\[ledger_${tenant}\\] the disk was ${found}\\n`), WAIT)
        await appliance.until(new RegExp(`\\[ledger_${tenant}\\] done, wrong answers: 0\\n`), WAIT)
      }
      await appliance.kill()
    }
    const all = members(file)
    for (const tenant of tenants) {
      expect(all.filter((path) => path.startsWith(`${tenant}/`))).toEqual(written(tenant))
      expect(member(file, `${tenant}/tile/entries/000.b64`).equals(seeded(7, 5 * MiB + 1))).toBe(true)
      expect(member(file, `${tenant}/tail/000000000003`).equals(seeded(5, 3 * MiB + 5))).toBe(true)
      expect(member(file, `${tenant}/checkpoint`).equals(seeded(13, 201))).toBe(true)
    }
  })

  /** Boots with the given disk; returns the console output once both tenants have all their answers. */
  async function consoleWith(disk: Disk | undefined): Promise<string> {
    const built = image('storage')
    const appliance = bench.boot({ image: built, ...(disk === undefined ? {} : { disk }) })
    for (const tenant of tenants) {
      await appliance.until(new RegExp(`\\[ledger_${tenant}\\] done, wrong answers: \\d+\\n`), WAIT)
    }
    await appliance.kill()
    return appliance.console
  }

  it.each<[string, Omit<Disk, 'file'> | undefined, string]>([
    ['that offers no FLUSH', { flush: false }, 'no data disk: the disk does not offer FLUSH'],
    ['that is read-only', { readOnly: true }, 'no data disk: the disk is read-only'],
    ['that is not there', undefined, 'no data disk: no device is there'],
  ])('refuses a disk %s', async (_, options, reason) => {
    const file = bench.disk()
    const found = await consoleWith(options && { file, ...options })
    expect(found).toContain(`[blk] ${reason}\n`)
    expect(found).toContain('[psdb] there is no disk: every request fails\n')
    // Each of the program's 17 requests fails with a disk error.
    expect(found.match(/opcode \d, status 4,/g)).toHaveLength(2 * 17)
    expect(members(file)).toEqual([])
  })

  it.each<[Disk['failing'] & string, RegExp]>([
    ['write', /\[psdb\] read-only from now on: writing failed at sector 2\n/],
    ['flush', /\[psdb\] read-only from now on: a flush failed, of the group at sector 0\n/],
  ])('acknowledges nothing when a %s fails', async (failing, report) => {
    const file = bench.disk()
    const found = await consoleWith({ file, failing })
    expect(found).toMatch(report)
    for (const tenant of tenants) {
      expect(found).toContain(`[ledger_${tenant}] done, wrong answers: 15\n`)
      // The request names no object, so the answer is NONE.
      expect(found).not.toContain(`[ledger_${tenant}] step 3:`)
    }
    expect(members(file)).toEqual([])
  })

  it('keeps all acknowledged writes from before the disk failed, and still reads', async () => {
    const file = bench.disk()
    const found = await consoleWith({ file, failing: 'write', after: 8 * MiB })
    expect(found).toMatch(/\[psdb\] read-only from now on: writing failed at sector \d+\n/)
    const all = members(file)
    for (const tenant of tenants) {
      const first = Number(new RegExp(`\\[ledger_${tenant}\\] step (\\d+):`).exec(found)?.[1])
      expect(first).toBeGreaterThan(5)
      expect(all).toContain(`${tenant}/tail/000000000000`)
      expect(member(file, `${tenant}/origin`).equals(seeded(1, 20))).toBe(true)
    }
  })

  it('stops with a report when the disk is unreadable', async () => {
    const found = await consoleWith({ file: bench.disk(), failing: 'read' })
    expect(found).toContain('[psdb] sector 0: expected to read it, found an error of the disk\n')
    expect(found.match(/opcode \d, status 5,/g)).toHaveLength(2 * 17)
  })
})
