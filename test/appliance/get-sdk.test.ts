// qemu/get-sdk against a local server with a made-up archive.
import { execFile, execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { getSdk } from '../../qemu/get-sdk.mjs'

const command = join(import.meta.dirname, '../../qemu/get-sdk')
const name = 'microkit-sdk-2.3.0'

function sdk(to: string): void {
  writeFileSync(join(to, 'VERSION'), '2.3.0\n')
  writeFileSync(join(to, 'bin', 'microkit'), '#!/bin/sh\n', { mode: 0o755 })
}

describe('qemu/get-sdk', () => {
  let folder: string
  let server: Server
  let url: string
  let archive: Buffer
  let sha256: string
  let asked: string[]
  let cut: number | undefined

  /** Makes an archive of a folder that `fill` fills. */
  function pack(fill: (sdk: string) => void, top = name): void {
    const from = mkdtempSync(join(folder, 'from-'))
    mkdirSync(join(from, top, 'bin'), { recursive: true })
    fill(join(from, top))
    execFileSync('tar', ['-czf', join(from, 'archive'), '-C', from, top])
    archive = readFileSync(join(from, 'archive'))
    sha256 = createHash('sha256').update(archive).digest('hex')
  }

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'service-fs-get-sdk-'))
    asked = []
    cut = undefined
    pack(sdk)
    server = createServer((request, response) => {
      asked.push(request.url ?? '')
      if (request.url?.endsWith('.tar.gz') !== true || request.url.includes('nothing')) {
        response.writeHead(404).end()
        return
      }
      response.writeHead(200, { 'Content-Length': archive.length })
      if (cut === undefined) response.end(archive)
      else response.write(archive.subarray(0, cut), () => response.destroy())
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/2.3.0`
  })
  afterEach(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    rmSync(folder, { recursive: true })
  })

  const data = () => join(folder, 'data')

  function run(...args: string[]): Promise<{ status: number; out: string; err: string }> {
    const env = { ...process.env, XDG_DATA_HOME: data() }
    return new Promise((resolve) => {
      execFile(command, args, { env }, (error, out, err) =>
        resolve({ status: error === null ? 0 : Number(error.code), out, err }),
      )
    })
  }

  /** No temporary files remain. */
  const nothing = () => expect(existsSync(data()) ? readdirSync(data()) : []).toEqual([])

  it('downloads, checks and unpacks, once', async () => {
    const done = await run('--url', url, '--sha256', sha256.toUpperCase())
    expect(done).toEqual({ status: 0, out: `${join(data(), name)}\n`, err: '' })
    expect(readdirSync(data())).toEqual([name])
    expect(readFileSync(join(data(), name, 'VERSION'), 'utf8')).toBe('2.3.0\n')
    expect(asked).toEqual([
      expect.stringMatching(/^\/2\.3\.0\/microkit-sdk-2\.3\.0-(linux|macos)-(x86-64|aarch64)\.tar\.gz$/),
    ])
    const again = await run('--url', `${url}/nothing`)
    expect(again).toEqual({ status: 0, out: `${join(data(), name)} is already installed\n`, err: '' })
    expect(asked).toHaveLength(1)
  })

  it.runIf(process.platform === 'linux' && process.arch === 'x64')(
    'knows the archive for this machine',
    async () => {
      const { status, err } = await run('--url', url)
      expect(status).toBe(1)
      expect(err).toBe(
        `get-sdk: the archive's SHA-256: expected e12e507f72c87cbf5c514df9e9b0c66103b42298852f44c045d5729ea3de4f89, found ${sha256}\n`,
      )
      nothing()
    },
  )

  it('requires the SHA-256 on other machines, and rejects machines without an SDK', async () => {
    const before = process.env['XDG_DATA_HOME']
    process.env['XDG_DATA_HOME'] = data()
    try {
      await expect(getSdk({ url, system: 'darwin', machine: 'arm64' })).rejects.toThrow(
        'the SHA-256 of the SDK for macos-aarch64 is unknown: pass it with --sha256',
      )
      await expect(getSdk({ url, system: 'win32', machine: 'x64' })).rejects.toThrow(
        'no Microkit SDK for win32',
      )
      expect(asked).toEqual([])
    } finally {
      if (before === undefined) delete process.env['XDG_DATA_HOME']
      else process.env['XDG_DATA_HOME'] = before
    }
  })

  it('refuses an archive with another hash, and leaves nothing behind', async () => {
    cut = archive.length - 7
    const { status, err } = await run('--url', url, '--sha256', sha256)
    expect(status).toBe(1)
    expect(err).toMatch(/^get-sdk: /)
    nothing()
    cut = undefined
    expect((await run('--url', `${url}/nothing`, '--sha256', sha256)).err).toMatch(
      /^get-sdk: http.*: 404 Not Found\n$/,
    )
    expect((await run('--url', 'http://127.0.0.1:1', '--sha256', sha256)).status).toBe(1)
    nothing()
  })

  it.each<[string, (to: string) => void, string | undefined, RegExp]>([
    ['has another folder', sdk, 'other', /expected microkit-sdk-2\.3\.0, found other/],
    [
      'is of another version',
      (to) => (sdk(to), writeFileSync(join(to, 'VERSION'), '2.0.1\n')),
      undefined,
      /no bin\/microkit and VERSION of 2\.3\.0/,
    ],
    [
      'has a link out of it',
      (to) => (sdk(to), symlinkSync('/etc/passwd', join(to, 'board'))),
      undefined,
      /board, which is not a file/,
    ],
    [
      'has a link to nothing',
      (to) => (sdk(to), symlinkSync('nothing', join(to, 'board'))),
      undefined,
      /board, which is not a file/,
    ],
  ])('refuses an archive that %s', async (_, fill, top, reason) => {
    pack(fill, top)
    const { status, err } = await run('--url', url, '--sha256', sha256)
    expect(status).toBe(1)
    expect(err).toMatch(reason)
    nothing()
  })

  it('refuses a file that is not an archive, and wrong usage', async () => {
    archive = Buffer.from('no archive')
    sha256 = createHash('sha256').update(archive).digest('hex')
    expect((await run('--url', url, '--sha256', sha256)).err).toMatch(
      /^get-sdk: the archive cannot be unpacked: /,
    )
    nothing()
    expect((await run('--sha256', '123')).status).toBe(2)
    expect((await run('--what')).status).toBe(2)
  })

  it('leaves an existing folder of that name alone', async () => {
    mkdirSync(join(data(), name), { recursive: true })
    const { status, err } = await run('--url', url, '--sha256', sha256)
    expect(status).toBe(1)
    expect(err).toContain('exists but is not SDK 2.3.0: remove it first')
    expect(asked).toEqual([])
  })
})
