// The ledger's domain in C, with PSDB's, in one process under AddressSanitizer and UBSan: over TCP, by the ordinary client.
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { serviceFs } from '../support/daemon.ts'
import { collect, end, run, sleep } from '../support/process.ts'
import { BUILD_MS, make, why } from './c.ts'

const MODULE_ID = 'acme'
const FILES = 40

describe.skipIf(why('gcc') !== '')(`the ledger's domain in C${why('gcc')}`, () => {
  let program = ''
  let folder = ''
  let disk = ''
  let child: ChildProcess
  let said: () => string
  let port = 0

  beforeAll(async () => {
    program = join(await make('ledger-test', 'all', ['CC=gcc']), 'ledger-test')
  }, BUILD_MS)
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'service-fs-ledger-c-'))
    disk = join(folder, 'disk.img')
    writeFileSync(disk, '')
    truncateSync(disk, 128 * 2 ** 20)
    await start()
  })
  afterEach(() => end(child, 'SIGKILL'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  async function start(): Promise<void> {
    child = spawn(program, [disk], { stdio: ['ignore', 'pipe', 'pipe'] })
    const { stdout, stderr } = child
    if (stdout === null || stderr === null) throw new Error('no pipes')
    said = collect(stderr)
    const [line] = (await once(createInterface(stdout), 'line')) as [string]
    port = Number(line)
    await until(/^ready after ms/m)
  }

  /** Waits until the console has the given number of matching lines. */
  async function until(pattern: RegExp, times = 1): Promise<void> {
    const all = new RegExp(pattern, 'gm')
    for (let tries = 0; (said().match(all) ?? []).length < times; tries++) {
      if (tries > 600) throw new Error(`the console says\n${said()}`)
      await sleep(50)
    }
  }

  const url = (): string => `http://127.0.0.1:${port}/`

  /** Runs a command that must succeed, and returns its output. */
  async function command(...args: string[]): Promise<string> {
    const env = { FS_URL: url(), FS_MODULE_ID: MODULE_ID }
    const { code, stdout, stderr } = await run('node', [serviceFs, ...args], { env })
    expect(code, stdout + stderr + said()).toBe(0)
    return stdout
  }

  const get = (path: string): Promise<Response> => fetch(`${url()}t/${MODULE_ID}/${path}`)

  /** Files to append; the larger ones take many slots. */
  function files(): string {
    const input = join(folder, 'in')
    mkdirSync(input)
    for (let i = 0; i < FILES - 1; i++) writeFileSync(join(input, `f${i}`), randomBytes(i * i * 50))
    writeFileSync(join(input, 'large'), randomBytes(6_000_000))
    return input
  }

  it('appends and serves records that verify over HTTP and on the disk', async () => {
    await command('append', files())
    await command('verify')
    expect((await command('ls')).trim().split('\n')).toHaveLength(FILES)
    const out = join(folder, 'out')
    await command('get', '--all', '--out', out)
    for (const name of readdirSync(out, { recursive: true, encoding: 'utf8' })) {
      if (!statSync(join(out, name)).isFile()) continue
      expect(readFileSync(join(out, name)).equals(readFileSync(join(folder, 'in', basename(name))))).toBe(
        true,
      )
    }
    await end(child, 'SIGTERM')
    const archive = join(folder, 'archive')
    mkdirSync(archive)
    await run('tar', ['-xf', disk, '-C', archive])
    await command('verify', join(archive, MODULE_ID))
  })

  it('restarts after a fault with every acknowledged record', async () => {
    const input = files()
    await command('append', join(input, 'f1'), join(input, 'f30'))
    for (let times = 2; times <= 4; times++) {
      child.kill('SIGUSR1')
      await until(/^ready after ms/, times)
      await command('append', join(input, `f${times}`))
    }
    await command('verify')
    expect((await command('ls')).trim().split('\n')).toHaveLength(5)
    await end(child, 'SIGKILL')
    await start()
    await command('verify')
  })

  it('a fault in the middle of requests leaves no harmful state behind', async () => {
    const input = files()
    for (let i = 0; i < 4; i++) {
      const appending = run('node', [serviceFs, 'append', input], {
        env: { FS_URL: url(), FS_MODULE_ID: MODULE_ID },
      })
      await sleep(300 + 250 * i)
      child.kill('SIGUSR1')
      await appending
      await until(/^ready after ms/, i + 2)
    }
    await command('append', input)
    await command('verify')
    expect((await command('ls')).trim().split('\n')).toHaveLength(FILES)
  })

  it('a peer that reads nothing delays no other peer', async () => {
    const payload = randomBytes(5_000_000)
    const posted = await fetch(`${url()}t/${MODULE_ID}/v1/append`, {
      method: 'POST',
      headers: { 'x-payload-id': 'large', 'content-type': 'application/octet-stream' },
      body: payload,
    })
    expect(posted.status).toBe(200)
    const stuck = Array.from({ length: 8 }, () => {
      const socket = connect(port, '127.0.0.1')
      socket.pause()
      socket.write(`GET /t/${MODULE_ID}/v1/records/large HTTP/1.1\r\nhost: a\r\n\r\n`)
      return socket
    })
    await sleep(1500)
    for (let i = 0; i < 20; i++) expect((await get('v1/checkpoint')).status).toBe(200)
    for (const socket of stuck.slice(1)) socket.destroy()
    const [reader] = stuck
    if (reader === undefined) throw new Error('no socket')
    let received = 0
    reader.on('data', (bytes: Buffer) => (received += bytes.length))
    reader.resume()
    while (received < payload.length) await sleep(50)
    reader.destroy()
  })

  it('serves more connections in total than it allows at a time', async () => {
    const sockets = Array.from({ length: 100 }, () => connect(port, '127.0.0.1'))
    await sleep(500)
    for (const socket of sockets) socket.destroy()
    await sleep(200)
    for (let i = 0; i < 150; i++) {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      socket.resume()
      socket.end(i % 2 === 0 ? 'GET / HTTP/1.1\r\nhost: a\r\n\r\n' : 'nonsense\r\n\r\n')
      if (i % 3 === 0) socket.destroy()
      else await once(socket, 'close')
    }
    expect((await get('v1/checkpoint')).status).toBe(200)
    expect(said()).not.toContain('"level":"error"')
  })
})
