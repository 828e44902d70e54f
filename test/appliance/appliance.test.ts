// Tests `npm run appliance`: its options, and a user's session of curl, append, verify and Ctrl-C, twice.
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeDisk, readOptions } from '../../qemu/appliance.mjs'
import { freePort } from '../support/process.ts'
import { needs, runs } from './machine.ts'

const project = join(import.meta.dirname, '../..')
const command = join(project, 'qemu/appliance.mjs')
const cli = join(project, 'app/bin/service-fs.js')
const run = promisify(execFile)

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'service-fs-run-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

describe('the command that boots the appliance', () => {
  it('has a port for each tenant, and disks in one folder', () => {
    const totebox = join(folder, 'list.json')
    const tenants = [{ moduleId: 'a', port: 80 }, { moduleId: 'b' }, { moduleId: 'c', port: 8443 }]
    writeFileSync(totebox, JSON.stringify({ tenants, network: { dhcp: true } }))
    const found = readOptions(['--totebox', totebox, '--root', folder, '--disk-size', '1G'])
    expect(found).toMatchObject({
      disk: join(folder, 'data.img'),
      keys: join(folder, 'keys.img'),
      size: 2 ** 30,
      forward: [
        { host: 8080, guest: 80 },
        { host: 8081, guest: 8443 },
      ],
    })
    expect(readOptions(['--forward', '99:80', '--forward', '98:81'])).toMatchObject({
      forward: [
        { host: 99, guest: 80 },
        { host: 98, guest: 81 },
      ],
    })
    expect(readOptions(['--help'])).toBeUndefined()
  })

  it.each([
    [['--forward', '80'], 'expected PORT:GUEST'],
    [['--forward', '80:65536'], 'expected PORT:GUEST'],
    [['--disk-size', '1000'], 'a multiple of 512'],
    [['--disk-size', 'big'], 'a multiple of 512'],
    [['--what'], '--what'],
    [['more'], 'more'],
  ])('refuses %s', async (args, reason) => {
    expect(() => readOptions(args)).toThrow(reason)
    const failed = await run(process.execPath, [command, ...args]).catch((error: unknown) => error)
    expect(failed).toMatchObject({ code: 2, stderr: expect.stringContaining('usage: ') })
  })

  it('reports the fault in a list of tenants', () => {
    const totebox = join(folder, 'list.json')
    writeFileSync(totebox, JSON.stringify({ tenants: [{ moduleId: 'A' }] }))
    expect(() => readOptions(['--totebox', totebox])).toThrow('tenants[0].moduleId')
  })

  it('makes a disk of zeros for its owner, once', () => {
    const file = join(folder, 'disks', 'data.img')
    makeDisk(file, 65536)
    expect(statSync(file)).toMatchObject({ size: 65536 })
    expect((statSync(file).mode & 0o777).toString(8)).toBe('600')
    expect((statSync(join(folder, 'disks')).mode & 0o777).toString(8)).toBe('700')
    writeFileSync(file, 'mine')
    makeDisk(file, 65536)
    expect(statSync(file).size).toBe(4)
  })
})

describe.skipIf(!runs)(`the appliance in a user session ${needs}`, () => {
  let child: ChildProcess | undefined
  afterEach(() => {
    child?.kill('SIGTERM')
    child = undefined
  })

  /** Boots the appliance, and waits until it prints the tenant's address. */
  async function boot(
    port: number,
  ): Promise<{ out: () => string; end: (signal: NodeJS.Signals) => Promise<number | null> }> {
    const args = [command, '--root', join(folder, 'root'), '--disk-size', '64M', '--forward', `${port}:80`]
    const started = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    child = started
    let out = ''
    const exited = new Promise<number | null>((done) => started.once('exit', done))
    await new Promise<void>((done, fail) => {
      const take = (bytes: Buffer) => {
        out += bytes.toString()
        if (out.includes('Press Ctrl-C to stop.')) done()
      }
      started.stdout.on('data', take)
      started.stderr.on('data', take)
      void exited.then((status) => fail(new Error(`it ended, ${status}:\n${out}`)))
    })
    const end = (signal: NodeJS.Signals) => {
      started.kill(signal)
      return exited
    }
    return { out: () => out, end }
  }

  it(
    'answers curl, append and verify, stops cleanly, and continues after the next boot',
    { timeout: 600_000 },
    async () => {
      const port = await freePort()
      const url = `http://127.0.0.1:${port}`
      const papers = join(folder, 'papers')
      mkdirSync(papers)
      for (let i = 0; i < 300; i++) writeFileSync(join(papers, `${i}.txt`), `paper ${i}\n`)

      const first = await boot(port)
      expect(first.out()).toContain(`acme: ${url}/t/acme/`)
      const vkeys = [...first.out().matchAll(/\[keys\] vkey (\S+)/g)].map((match) => match[1])
      const vkey = vkeys[0] ?? ''
      expect(vkey).toContain('/acme+')
      const sent = await fetch(`${url}/t/acme/v1/append`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: '{"payload_id":"hello","payload":{"hello":"world"}}',
      })
      expect(sent.status).toBe(200)
      expect(await sent.json()).toMatchObject({ payload_id: 'hello', index: 0 })
      const at = ['--url', url, '--module-id', 'acme']
      const appended = await run(process.execPath, [cli, 'append', papers, ...at])
      expect(appended.stdout).toMatch(/^300 records .*: 300 appended/)
      const verified = await run(process.execPath, [cli, 'verify', ...at, '--vkey', vkey])
      expect(verified.stdout).toContain('301 entries, 301 records')
      // A second appliance reports that the port and the disk are in use.
      const again = [command, '--root', join(folder, 'root'), '--forward', `${port}:80`]
      const taken = await run(process.execPath, again).catch((error: unknown) => error)
      expect(taken).toMatchObject({
        code: 1,
        stderr: expect.stringContaining(`127.0.0.1:${port}: listen EADDRINUSE`),
      })
      const other = [command, '--root', join(folder, 'root'), '--forward', `${await freePort()}:80`]
      const locked = await run(process.execPath, other).catch((error: unknown) => error)
      expect(locked).toMatchObject({ code: 1, stdout: expect.stringContaining('lock') })
      expect(await first.end('SIGINT')).toBe(0)

      const second = await boot(port)
      expect([...second.out().matchAll(/\[keys\] vkey (\S+)/g)].map((match) => match[1])).toEqual(vkeys)
      const there = await run(process.execPath, [cli, 'verify', ...at, '--vkey', vkey])
      expect(there.stdout).toContain('301 entries, 301 records')
      expect(await second.end('SIGTERM')).toBe(0)

      // The disk is a tar archive.
      mkdirSync(join(folder, 'unpacked'))
      execFileSync('tar', ['-xf', join(folder, 'root', 'data.img'), '-C', join(folder, 'unpacked')])
      const unpacked = await run(process.execPath, [
        cli,
        'verify',
        join(folder, 'unpacked', 'acme'),
        '--vkey',
        vkey,
      ])
      expect(unpacked.stdout).toContain('301 entries, 301 records')
    },
  )
})
