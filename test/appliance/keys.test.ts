// Tests the domain `keys` on the real kernel: which checkpoints it signs and refuses, also after a power cut.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildProgram } from '@service-fs/cli/program'
import { testIo } from '@service-fs/cli/testing'
import { openCheckpoint } from '@service-fs/tlog/checkpoint'
import { verifierFromVkey, type KeyVerifier } from '@service-fs/tlog/keys'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Disk } from '../../qemu/run.mjs'
import { Bench, image, needs, runs, variants } from './machine.ts'

const WAIT = 60_000
const MiB = 1024 * 1024
const origins = ['service-fs.local/ledger/acme', 'service-fs.local/ledger/acme/audit']

/** The verifier keys that the domain prints on the console, by name. */
function shown(console: string): Map<string, KeyVerifier> {
  const vkeys = [...console.matchAll(/^\[keys\] vkey (.+)$/gm)].map((match) => match[1] ?? '')
  return new Map(vkeys.map((vkey) => [vkey.split('+')[0] ?? '', verifierFromVkey(vkey)]))
}

/** The signed checkpoints in this output, as notes. */
function notes(console: string): { note: string; ledger: number; size: number }[] {
  const lines = console.matchAll(/^\[ledger_acme\] ledger (\d) size (\d+) root (\d+) (\S+) (\S+)$/gm)
  return [...lines].map(([, ledger, size, root, name, signature]) => {
    const hash = Buffer.alloc(32, Number(root)).toString('base64')
    const text = `${origins[Number(ledger)]}\n${size}\n${hash}\n`
    return { note: `${text}\n— ${name} ${signature}\n`, ledger: Number(ledger), size: Number(size) }
  })
}

describe.skipIf(!runs)(`keys ${needs}`, () => {
  let bench: Bench
  beforeEach(() => {
    bench = new Bench()
  })
  afterEach(() => bench.end())

  const names = variants.map(({ version, config, compiler }) => `SDK ${version}, ${config}, ${compiler}`)
  it.each(names)('signs growing trees, also after a power cut: %s', async (name) => {
    const built = image('keys', variants[names.indexOf(name)])
    const keys = bench.disk(MiB)
    const signatures: string[] = []
    let known: string[] = []
    let most = 0
    for (const life of ['first', 'later', 'later', 'later']) {
      const appliance = bench.boot({ image: built, disk: { file: bench.disk() }, keys: { file: keys } })
      await appliance.until(new RegExp(`\\[ledger_acme\\] ${life} list done, wrong answers: 0\\n`), WAIT)
      await appliance.until(/\[ledger_globex\] first \d+\n[^]*\[ledger_globex\] signed \d*\d\d\n/, WAIT)
      await new Promise((resolve) => setTimeout(resolve, 50 + 300 * Math.random()))
      await appliance.kill()
      const text = appliance.console
      expect(text).not.toContain('wrong answer at')

      // The keys stay the same; the ledgers received the ones on the console.
      const verifiers = shown(text)
      const vkeys = [...text.matchAll(/^\[keys\] vkey (.+)$/gm)].map((match) => match[1] ?? '')
      expect([...verifiers.keys()]).toEqual([...origins, 'globex.example/log', 'globex.example/log/audit'])
      if (known.length > 0) expect(vkeys).toEqual(known)
      known = vkeys
      const told = [...text.matchAll(/^\[ledger_acme\] key (.+)$/gm)].map((match) => match[1])
      expect(told).toEqual(vkeys.slice(0, 2))
      expect([...text.matchAll(/^\[keys\] \S+: a key is made$/gm)]).toHaveLength(life === 'first' ? 4 : 0)

      const signed = notes(text)
      expect(signed.map(({ size }) => size)).toEqual(life === 'first' ? [1, 2, 7, 7, 3] : [7, 3])
      for (const { note, ledger } of signed) {
        const verifier = verifiers.get(origins[ledger] ?? '')
        expect(openCheckpoint(note, verifier === undefined ? [] : [verifier], origins[ledger])).toBeDefined()
      }
      // The same text gets the same signature after each boot.
      signatures.push(...signed.filter(({ size }) => size === 7).map(({ note }) => note))
      expect(new Set(signatures).size).toBe(1)

      expect(text).toContain(`[keys] ${origins[0]}: refused to sign size 6: size 7 is already signed\n`)
      expect(text).toContain(`[keys] ${origins[0]}: refused to sign another root at size 7\n`)

      // Every signature seen before the power cut stays valid.
      const sizes = (pattern: RegExp) => [...text.matchAll(pattern)].map((match) => Number(match[1]))
      expect(sizes(/^\[ledger_globex\] first (\d+)$/gm)[0]).toBeGreaterThan(most)
      most = Math.max(...sizes(/^\[ledger_globex\] (?:first|signed) (\d+)$/gm))
    }
  })

  it.each<[string, Partial<Disk>, RegExp]>([
    ['that has no write cache', { flush: false }, /no key disk: the disk does not offer FLUSH/],
    ['that is read-only', { readOnly: true }, /no key disk: the disk is read-only/],
    ['that fails to read', { failing: 'read' }, /the key disk has failed: nothing is signed/],
    ['that fails to write', { failing: 'write' }, /the key disk has failed: nothing is signed/],
    ['that fails to flush', { failing: 'flush' }, /the key disk has failed: nothing is signed/],
  ])('signs nothing with a disk %s', async (_, how, report) => {
    const file = bench.disk(MiB)
    const disk = { file: bench.disk() }
    const appliance = bench.boot({ image: image('keys'), disk, keys: { file, ...how } })
    await appliance.until(report, WAIT)
    await appliance.until(/\[ledger_acme\] first list done, wrong answers: 1\d\n/, WAIT)
    expect(appliance.console).not.toMatch(/\[ledger_acme\] ledger \d size \d+ root \d+ \S+ \S{90}/)
  })

  it('does not write to a foreign disk', async () => {
    const file = bench.disk(MiB)
    const bytes = readFileSync(file)
    bytes.write('acme/', 0)
    writeFileSync(file, bytes)
    const appliance = bench.boot({ image: image('keys'), disk: { file: bench.disk() }, keys: { file } })
    await appliance.until(/the key disk holds something else, or is damaged: nothing is signed/, WAIT)
    await appliance.until(/first list done/, WAIT)
    await appliance.kill()
    expect(readFileSync(file).equals(bytes)).toBe(true)
  })

  it('uses the keys that provision put on its disk', async () => {
    const file = join(bench.folder, 'keys.img')
    const io = testIo()
    const tenants = ['--module-id', 'acme', '--module-id', 'globex', '--origin', 'globex.example/log']
    const args = ['provision', ...tenants, '--key-disk', file]
    await buildProgram(io).parseAsync(args, { from: 'user' })
    const appliance = bench.boot({ image: image('keys'), disk: { file: bench.disk() }, keys: { file } })
    await appliance.until(/first list done, wrong answers: 0\n/, WAIT)
    const vkeys = [...appliance.console.matchAll(/^\[keys\] vkey (.+)$/gm)].map((match) => match[1] ?? '')
    expect(vkeys).toEqual(io.text().trim().split('\n'))
    expect(appliance.console).not.toContain('a key is made')
  })

  it('signs nothing without a disk', async () => {
    const appliance = bench.boot({ image: image('keys'), disk: { file: bench.disk() } })
    await appliance.until(/\[keys\] no key disk: no device is there\n/, WAIT)
    await appliance.until(/\[ledger_acme\] first list done, wrong answers: 1\d\n/, WAIT)
  })
})
