import { X509Certificate } from 'node:crypto'
import { chmodSync, copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { request, type RequestOptions } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { start, type Daemon } from './daemon.ts'
import { createAccess } from '@service-fs/access/access'
import { distinguishedName } from '@service-fs/access/certificates'
import type { AccessConfig } from '@service-fs/access/config'
import { loadAccess } from '@service-fs/access/settings'
import { requestWith, signingKey, TestIssuer } from '@service-fs/access/testing'
import { readTls } from '@service-fs/access/tls'
import {
  hasOpenssl,
  issue,
  makeCa,
  openssl,
  type CertificateFiles,
} from '@service-fs/http/testing-certificates'
import { newToken } from '@service-fs/access/tokens'

const TITLE = hasOpenssl ? 'TLS' : 'TLS (skipped: there is no openssl to make certificates with)'

function fingerprint({ certificate }: CertificateFiles): string {
  return new X509Certificate(readFileSync(certificate)).fingerprint256
}

const material = ({ certificate, key }: CertificateFiles): { cert: Buffer; key: Buffer } => ({
  cert: readFileSync(certificate),
  key: readFileSync(key),
})

type AskOptions = Omit<RequestOptions, 'headers'> & ConnectionOptions & { headers?: Record<string, string> }

describe.skipIf(!hasOpenssl)(TITLE, () => {
  let dir: string
  let ca: CertificateFiles
  let server: CertificateFiles
  let robot: CertificateFiles
  let named: CertificateFiles
  let stranger: CertificateFiles
  let foreign: CertificateFiles
  let expired: CertificateFiles
  let daemon: Daemon
  const token = newToken()
  const log: string[] = []
  const SUBJECT = 'CN=named\\, or not+OU=Robots,O=Example \\+ Söhne,C=DE'

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'tls-'))
    ca = makeCa(dir, 'ca')
    server = issue(dir, 'server', ca)
    robot = issue(dir, 'robot', ca)
    named = issue(dir, 'named', ca, { subject: '/C=DE/O=Example \\+ Söhne/CN=named, or not+OU=Robots' })
    stranger = issue(dir, 'stranger', ca)
    foreign = issue(dir, 'foreign', makeCa(dir, 'other-ca'), { subject: '/CN=robot' })
    expired = issue(dir, 'expired', ca, { subject: '/CN=expired', dates: ['-days', '-1'] })
    configure()
    daemon = await start(
      {
        moduleId: 'acme',
        root: join(dir, 'root'),
        listen: { host: '127.0.0.1', port: 0 },
        origin: undefined,
        access: join(dir, 'access.json'),
      },
      (line) => log.push(line),
    )
  })
  afterAll(async () => {
    await daemon?.stop()
    await rm(dir, { recursive: true, force: true })
  })

  function configure(more: object = {}): void {
    const stored = {
      id: token.id,
      name: 'alice',
      sha256: token.sha256,
      tenant: 'acme',
      roles: ['append', 'examine'],
      created: '2026-01-01T00:00:00Z',
    }
    writeFileSync(join(dir, 'tokens.json'), JSON.stringify({ tokens: [stored] }), { mode: 0o600 })
    const certificates = [
      { fingerprint256: fingerprint(robot).toLowerCase(), name: 'robot', tenant: 'acme', roles: ['read'] },
      { subject: SUBJECT, name: 'named', tenant: 'acme', roles: ['examine'] },
      { subject: 'CN=expired', name: 'expired', tenant: 'acme', roles: ['examine'] },
      { subject: 'CN=robot', name: 'by-name', tenant: 'other', roles: ['read'] },
    ]
    const access = { tokens: 'tokens.json', certificates, ...more }
    const tls = { certificate: 'server.pem', key: 'server.key', clientCa: 'ca.pem' }
    writeFileSync(join(dir, 'access.json'), JSON.stringify({ access, tls }), { mode: 0o600 })
  }

  function ask(
    options: AskOptions = {},
    path = '/v1/entries',
  ): Promise<{ status: number; body: string; serial: string }> {
    return new Promise((resolve, reject) => {
      const url = new URL(path, daemon.url)
      const headers = { 'x-foundry-module-id': 'acme', ...options.headers }
      const sent = request(
        url,
        { ca: readFileSync(ca.certificate), agent: false, ...options, headers },
        (response) => {
          let body = ''
          const serial = (response.socket as TLSSocket).getPeerX509Certificate()?.serialNumber ?? ''
          response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
          response.on('end', () => resolve({ status: response.statusCode ?? 0, body, serial }))
        },
      )
      sent.once('error', reject)
      sent.end()
    })
  }

  const bearer = { authorization: `Bearer ${token.text}` }

  /** Returns the subjects of the audit ledger's newest entries. */
  async function subjects(count: number): Promise<unknown[]> {
    const { body } = await ask(
      { headers: bearer },
      `/audit/v1/entries?since=${Math.max(0, daemon.tenant.audit.size - count)}`,
    )
    const { entries } = JSON.parse(body) as { entries: { payload: { subject: string } }[] }
    return entries.map(({ payload }) => payload.subject)
  }

  it('accepts only TLS on the port', async () => {
    expect(daemon.url).toMatch(/^https:/)
    expect(await ask({ headers: bearer })).toMatchObject({ status: 200 })
    expect(await ask({}, '/healthz')).toMatchObject({ status: 200 })
    await expect(fetch(daemon.url.replace('https', 'http'))).rejects.toThrow('fetch failed')
    await expect(
      ask({ maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'ALL@SECLEVEL=0' }),
    ).rejects.toThrow(/protocol|handshake|alert/i)
  })

  it('names the client by its certificate’s fingerprint or subject', async () => {
    expect(await ask(material(robot))).toMatchObject({ status: 200 })
    expect(await ask(material(robot), '/audit/v1/entries')).toMatchObject({ status: 403 })
    expect(await ask(material(named), '/audit/v1/entries')).toMatchObject({ status: 200 })
    expect(await subjects(2)).toEqual(['cert:robot', 'cert:named'])
  })

  it('answers 401 without a certificate, or to an unknown, foreign or expired one', async () => {
    for (const files of [undefined, stranger, foreign, expired]) {
      const found = await ask(files === undefined ? {} : material(files))
      expect([found.status, JSON.parse(found.body)]).toMatchObject([401, { code: 'unauthenticated' }])
    }
  })

  it('takes the subject from a token, whatever the certificate', async () => {
    expect(await ask({ ...material(robot), headers: bearer }, '/audit/v1/entries')).toMatchObject({
      status: 200,
    })
    expect(await ask({ ...material(robot), headers: { authorization: 'Bearer wrong' } })).toMatchObject({
      status: 401,
    })
    expect(await ask({ ...material(stranger), headers: bearer })).toMatchObject({ status: 200 })
  })

  it('does not accept a resumed session instead of a certificate', async () => {
    const port = Number(new URL(daemon.url).port)
    const session = await new Promise<Buffer>((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', ca: readFileSync(ca.certificate) })
      socket.once('session', (ticket) => {
        resolve(ticket)
        socket.destroy()
      })
      socket.once('error', reject)
    })
    expect(await ask({ session })).toMatchObject({ status: 401 })
    expect(await ask({ session, ...material(foreign) })).toMatchObject({ status: 401 })
  })

  it('compares subjects in the form that openssl prints', () => {
    const printed = openssl(
      'x509',
      '-in',
      named.certificate,
      '-noout',
      '-subject',
      '-nameopt',
      'RFC2253,-esc_msb,utf8',
    )
    expect(distinguishedName(new X509Certificate(readFileSync(named.certificate)))).toBe(
      printed.trim().replace(/^subject=/, ''),
    )
    expect(distinguishedName(new X509Certificate(readFileSync(named.certificate)))).toBe(SUBJECT)
  })

  it('uses a replaced certificate for new connections without a restart', async () => {
    const before = (await ask({}, '/healthz')).serial
    const next = issue(dir, 'next', ca)
    // Replaces the certificate, then the key, as a renewal does. While they do not match, the old pair stays in use.
    renameSync(next.certificate, server.certificate)
    await daemon.reload?.()
    expect((await ask({}, '/healthz')).serial).toBe(before)
    expect(log.some((line) => line.includes('not the private key of'))).toBe(true)
    renameSync(next.key, server.key)
    await daemon.reload?.()
    const after = (await ask({ headers: bearer })).serial
    expect(after).not.toBe(before)
    expect(after).toBe(new X509Certificate(readFileSync(server.certificate)).serialNumber)
    // The daemon also reloads by itself when the files change.
    const third = issue(dir, 'third', ca)
    renameSync(third.key, server.key)
    renameSync(third.certificate, server.certificate)
    await expect.poll(async () => (await ask({}, '/healthz')).serial).not.toBe(after)
  })

  it('refuses a removed client, also in an earlier session', async () => {
    configure({ certificates: [] })
    await daemon.reload?.()
    expect(await ask(material(robot))).toMatchObject({ status: 401 })
    configure()
    await daemon.reload?.()
    expect(await ask(material(robot))).toMatchObject({ status: 200 })
  })

  it('refuses and logs changes that need a restart', async () => {
    for (const text of [
      '{"access":{"tokens":"tokens.json"}}',
      '{"access":{}}',
      '{',
      '{"access":{"tokens":"nowhere.json"},"tls":{"certificate":"server.pem","key":"server.key","clientCa":"ca.pem"}}',
    ]) {
      log.length = 0
      writeFileSync(join(dir, 'access.json'), text)
      await daemon.reload?.()
      expect(await ask({})).toMatchObject({ status: 401 })
      expect(await ask({ headers: bearer })).toMatchObject({ status: 200 })
      // The daemon looks at the file by itself, too, so it may reject the same text twice.
      const errors = log.filter((line) => line.includes('"level":"error"'))
      expect(new Set(errors.map((line) => JSON.stringify({ ...JSON.parse(line), time: '' })))).toHaveProperty(
        'size',
        1,
      )
    }
    configure()
    await daemon.reload?.()
  })

  it('trusts an issuer only through its configured certificate authority', async () => {
    const { cert, key } = material(robot)
    const issuer = new TestIssuer({ cert: cert.toString(), key: key.toString() })
    issuer.keys = [await signingKey('one')]
    await issuer.start()
    try {
      const one = {
        issuer: issuer.url,
        audience: 'ledger',
        grants: [{ claim: 'scope', value: 'read', tenant: '*', roles: ['read'] }],
      }
      for (const [authority, found] of [
        ['ca.pem', { subject: `oidc:${issuer.url}#alice` }],
        ['other-ca.pem', { code: 'issuer-unavailable' }],
        [undefined, { code: 'issuer-unavailable' }],
      ] as const) {
        const config = { oidc: [{ ...one, ...(authority === undefined ? {} : { ca: authority }) }] }
        const access = createAccess(await loadAccess(config as AccessConfig, undefined, dir))
        const asked = requestWith({ authorization: `Bearer ${await issuer.token()}` })
        expect(await access.check(asked, 'acme')).toMatchObject(found)
      }
    } finally {
      await issuer.stop()
    }
  })

  describe('files', () => {
    it('refuses files that do not match or are exposed', async () => {
      const files = (key: string, certificate = robot.certificate): Promise<unknown> =>
        readTls({ certificate, key })
      await expect(files(robot.key)).resolves.toMatchObject({
        certificate: expect.stringContaining('BEGIN CERTIFICATE'),
      })
      await expect(files(stranger.key)).rejects.toThrow(
        `${stranger.key}: not the private key of ${robot.certificate}`,
      )
      const other = join(dir, 'other.key')
      copyFileSync(robot.certificate, other)
      chmodSync(other, 0o600)
      await expect(files(other)).rejects.toThrow(`${other}: expected an unencrypted private key in PEM`)
      await expect(files(robot.key, robot.key)).rejects.toThrow('expected a certificate in PEM')
      await expect(files(join(dir, 'nowhere'))).rejects.toThrow('ENOENT')
      await expect(files(dir)).rejects.toThrow('expected a file')
      const open = join(dir, 'open.key')
      copyFileSync(robot.key, open)
      chmodSync(open, 0o644)
      await expect(files(open)).rejects.toThrow('mode 0644')
      chmodSync(open, 0o640)
      await expect(files(open)).resolves.toBeDefined()
    })
  })
})
