import { execFile, spawnSync } from 'node:child_process'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { ClientError } from '@service-fs/client/errors'
import { readCredentials, type CredentialOptions } from './credentials.ts'
import { cli, type TestIo } from './testing.ts'
import { remove, temporary } from '@service-fs/client/testing'

const OPENSSL = spawnSync('openssl', ['version']).stdout?.toString() ?? ''
/** OpenSSL 3.0 introduced `-CA` of `openssl req`. */
const why = /^OpenSSL [3-9]/.test(OPENSSL) ? '' : ': no openssl 3 here'

const TOKEN = 'sfs_0123.abc-DEF~xyz'
const LOCAL = 'http://127.0.0.1:8080'
const AWAY = 'https://ledger.example.org'

let dir = ''
const at = (name: string): string => join(dir, name)

async function put(name: string, text: string, mode: number = 0o600): Promise<string> {
  await writeFile(at(name), text)
  await chmod(at(name), mode)
  return at(name)
}

const openssl = async (...args: string[]): Promise<void> =>
  void (await promisify(execFile)('openssl', args, { cwd: dir }))

/** Makes a key and a certificate, signed by `ca` or by its own key. */
async function issue(name: string, subject: string, ca?: string, extra: string[] = []): Promise<void> {
  const signed = ca === undefined ? [] : ['-CA', `${ca}.crt`, '-CAkey', `${ca}.key`]
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const out = ['-keyout', `${name}.key`, '-out', `${name}.crt`]
  await openssl('req', '-x509', '-days', '1', ...curve, ...out, '-subj', subject, ...signed, ...extra)
  await chmod(at(`${name}.key`), 0o600)
}

beforeAll(async () => {
  dir = await temporary()
  if (why !== '') return
  await issue('ca', '/CN=Test authority')
  await issue('other-ca', '/CN=Another authority')
  const leaf = ['-addext', 'basicConstraints=critical,CA:FALSE', '-addext', 'subjectAltName=IP:127.0.0.1']
  await issue('server', '/CN=server', 'ca', leaf)
  await issue('misnamed', '/CN=server', 'ca', [
    ...leaf.slice(0, 2),
    '-addext',
    'subjectAltName=DNS:else.example',
  ])
  await issue('client', '/CN=alice', 'ca', leaf.slice(0, 2))
  await issue('stranger', '/CN=mallory', 'other-ca', leaf.slice(0, 2))
  await put('token', `${TOKEN}\n`)
})
afterAll(() => remove(dir))

const read = (url: string, options: CredentialOptions, token?: string): Promise<unknown> =>
  readCredentials(url, options, token)

describe.skipIf(why !== '')(`the credentials that options name${why}`, () => {
  it('credentials come from the files, or from FS_TOKEN when there is no file', async () => {
    expect(await read(LOCAL, {})).toEqual({})
    expect(await read(LOCAL, {}, 'env')).toEqual({ token: 'env' })
    expect(await read(LOCAL, { tokenFile: at('token') }, 'env')).toEqual({ token: TOKEN })
    const options = { cacert: at('ca.crt'), cert: at('client.crt'), key: at('client.key') }
    const pem = (name: string): Promise<string> => readFile(at(name), 'utf8')
    expect(await read(AWAY, options, 'env')).toEqual({
      token: 'env',
      tls: { ca: await pem('ca.crt'), cert: await pem('client.crt'), key: await pem('client.key') },
    })
  })

  it.each([0o604, 0o640, 0o644, 0o777])('credentials are not read from a secret of mode %o', async (mode) => {
    const shown = `found ${mode.toString(8).padStart(4, '0')}`
    const tokenFile = await put('open-token', TOKEN, mode)
    await expect(read(LOCAL, { tokenFile })).rejects.toThrow(shown)
    const key = await put('open-key', await readFile(at('client.key'), 'utf8'), mode)
    const wrong = read(AWAY, { cert: at('client.crt'), key })
    await expect(wrong).rejects.toMatchObject({ code: 'file', message: expect.stringContaining(shown) })
  })

  it('credentials are refused when they are invalid, and no error shows them', async () => {
    const secret = 'very secret'
    const bad = await put('bad', secret)
    const cases: [string, CredentialOptions, string][] = [
      [LOCAL, { tokenFile: bad }, 'bearer token'],
      [LOCAL, { tokenFile: at('none') }, 'ENOENT'],
      [LOCAL, { tokenFile: await put('empty', '\n') }, 'bearer token'],
      [AWAY, { cacert: bad }, '--cacert'],
      [AWAY, { cert: bad, key: at('client.key') }, '--cert'],
      [AWAY, { cert: at('client.crt'), key: bad }, '--key'],
      [AWAY, { cert: at('client.crt'), key: at('server.key') }, '--key'],
    ]
    for (const [url, options, part] of cases) {
      const error = await read(url, options).catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(ClientError)
      expect(error).toMatchObject({ code: 'file', message: expect.stringContaining(part) })
      expect(String(error)).not.toContain(secret)
    }
    await expect(read(LOCAL, {}, 'two words')).rejects.not.toThrow('two words')
  })

  it('credentials must be consistent with each other and with the URL', async () => {
    const cases: [string, CredentialOptions, string?][] = [
      [AWAY, { cert: at('client.crt') }],
      [AWAY, { key: at('client.key') }],
      [LOCAL, { cacert: at('ca.crt') }],
      ['http://ledger.example.org', {}, TOKEN],
      ['http://127.evil.example', {}, TOKEN],
    ]
    for (const [url, options, token] of cases)
      await expect(read(url, options, token)).rejects.toMatchObject({ code: 'usage' })
    for (const url of [
      'http://localhost',
      'http://[::1]:1',
      'http://127.0.0.1',
      'https://ledger.example.org',
    ])
      expect(await read(url, {}, TOKEN)).toEqual({ token: TOKEN })
  })
})

describe.skipIf(why !== '')(`over TLS${why}`, () => {
  let server: Server | undefined
  let asked: string[] = []
  let url = ''

  async function start(name: string, options: ServerOptions = {}): Promise<void> {
    const [key, cert] = await Promise.all(['key', 'crt'].map((end) => readFile(at(`${name}.${end}`))))
    const listening = createServer({ ...options, key, cert } as ServerOptions, (request, response) => {
      const subject = (request.socket as TLSSocket).getPeerCertificate().subject?.CN ?? 'nobody'
      asked.push(`${String(subject)} ${String(request.headers['authorization'])}`)
      response.end()
    })
    server = listening
    await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
    url = `https://127.0.0.1:${(listening.address() as AddressInfo).port}/t/acme/`
  }

  beforeEach(() => {
    asked = []
  })
  afterEach(async () => {
    vi.unstubAllEnvs()
    server?.closeAllConnections()
    await new Promise((resolve) => (server === undefined ? resolve(0) : server.close(resolve)))
    server = undefined
  })

  const ls = (...args: string[]): Promise<TestIo> => cli('ls', '--url', url, ...args)

  it('the client sends the token to a server whose authority --cacert names', async () => {
    await start('server')
    const io = await ls('--cacert', at('ca.crt'), '--token-file', at('token'))
    expect([io.code, io.errors, asked]).toEqual([0, [], [`nobody Bearer ${TOKEN}`]])
    vi.stubEnv('FS_CACERT', at('ca.crt'))
    vi.stubEnv('FS_TOKEN_FILE', at('token'))
    expect((await ls()).code).toBe(0)
    expect(asked).toHaveLength(2)
  })

  it.each([
    ['whose certificate no authority signed', 'server', [], /certificate/],
    ['of another authority', 'server', ['--cacert', 'other-ca.crt'], /certificate/],
    ['with another name', 'misnamed', ['--cacert', 'ca.crt'], /127\.0\.0\.1/],
  ] as const)(
    'the client sends nothing to a server %s, and reports the reason without a retry',
    async (_, name, args, reason) => {
      await start(name)
      const started = Date.now()
      const io = await ls(
        '--json',
        '--token-file',
        at('token'),
        ...args.map((arg) => arg.replace(/^[a-z].*/, at)),
      )
      expect([io.code, asked, Date.now() - started < 2000]).toEqual([3, [], true])
      expect(JSON.parse(io.errors.join()).error).toMatchObject({
        code: 'connection',
        message: expect.stringMatching(reason),
      })
      expect(io.errors.join()).not.toContain(TOKEN)
    },
  )

  it('the client presents its certificate, and a server refuses a certificate of another authority', async () => {
    const ca = await readFile(at('ca.crt'))
    await start('server', { ca, requestCert: true, rejectUnauthorized: true })
    const trusted = ['--cacert', at('ca.crt')]
    const io = await ls(...trusted, '--cert', at('client.crt'), '--key', at('client.key'))
    expect([io.code, io.errors, asked]).toEqual([0, [], ['alice undefined']])
    const stranger = await ls(...trusted, '--cert', at('stranger.crt'), '--key', at('stranger.key'))
    expect([stranger.code, asked.length]).toEqual([3, 1])
  })
})
