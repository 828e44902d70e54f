// TLS and client certificates through a host: the supervisor reads the files, the front presents the certificate, the tenant records the subject.
import { X509Certificate } from 'node:crypto'
import { readFileSync, renameSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { hasOpenssl, issue, makeCa, type CertificateFiles } from '@service-fs/http/testing-certificates'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serviceFsCommand } from '../support/daemon.ts'
import { startHost, type Host } from '../support/host.ts'

const TITLE = hasOpenssl ? 'TLS' : 'TLS (skipped: there is no openssl to make certificates with)'

describe.skipIf(!hasOpenssl)(TITLE, () => {
  let dir: string
  let ca: CertificateFiles
  let server: CertificateFiles
  let robot: CertificateFiles
  let host: Host

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'tls-'))
    ca = makeCa(dir, 'ca')
    server = issue(dir, 'server', ca)
    robot = issue(dir, 'robot', ca, { subject: '/O=Example/CN=robot' })
    const grant = {
      subject: 'CN=robot,O=Example',
      name: 'robot',
      tenant: 'acme',
      roles: ['append', 'examine'],
    }
    host = await startHost({
      tenants: ['acme', 'other'],
      config: {
        tls: { ...server, clientCa: ca.certificate },
        access: { certificates: [grant] },
      },
    })
  })
  afterAll(async () => {
    await host?.dispose()
    await rm(dir, { recursive: true, force: true })
  })

  function ask(
    path: string,
    files?: CertificateFiles,
  ): Promise<{ status: number; body: string; serial: string }> {
    const material =
      files === undefined ? {} : { cert: readFileSync(files.certificate), key: readFileSync(files.key) }
    return new Promise((resolve, reject) => {
      const options = { ca: readFileSync(ca.certificate), agent: false, ...material }
      const sent = request(new URL(path, host.url), options, (response) => {
        const serial = (response.socket as TLSSocket).getPeerX509Certificate()?.serialNumber ?? ''
        let body = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body, serial }))
      })
      sent.once('error', reject)
      sent.end()
    })
  }

  it('the audit records the subject of a client certificate', async () => {
    expect(host.url).toMatch(/^https:/)
    expect((await ask('/t/acme/v1/contract')).status).toBe(401)
    expect((await ask('/t/acme/v1/contract', robot)).status).toBe(200)
    expect((await ask('/t/other/v1/contract', robot)).status).toBe(403)
    const { entries } = JSON.parse((await ask('/t/acme/audit/v1/entries', robot)).body)
    expect(entries).toMatchObject([{ payload: { subject: 'cert:robot', route: '/v1/contract' } }])
  })

  it('the commands authenticate with a client certificate', async () => {
    const own = ['--cacert', ca.certificate, '--cert', robot.certificate, '--key', robot.key]
    const url = `${host.url}t/acme/`
    const appended = await serviceFsCommand(['append', server.certificate, '--url', url, ...own])
    expect(appended.code, appended.stderr).toBe(0)
    const verified = await serviceFsCommand(['verify', url, ...own])
    expect(verified.code, verified.stderr).toBe(0)
    const nobody = await serviceFsCommand(['ls', '--url', url, '--cacert', ca.certificate])
    expect([nobody.code, nobody.stderr]).toEqual([3, expect.stringContaining('credentials are required')])
  })

  it.each(['by itself', 'on SIGHUP'])(
    'the front presents a renewed certificate %s, without restarting a process',
    async (how) => {
      const before = (await ask('/healthz')).serial
      const pids = [host.frontPid, await host.pidOf('acme')]
      const next = issue(dir, `next-${how.length}`, ca)
      renameSync(next.key, server.key)
      renameSync(next.certificate, server.certificate)
      if (how === 'on SIGHUP') process.kill(host.pid, 'SIGHUP')
      const expected = new X509Certificate(readFileSync(server.certificate)).serialNumber
      expect(expected).not.toBe(before)
      await expect.poll(async () => (await ask('/healthz')).serial).toBe(expected)
      expect((await ask('/t/acme/v1/contract', robot)).status).toBe(200)
      process.kill(pids[0] ?? 0, 0)
      expect(await host.pidOf('acme')).toBe(pids[1])
    },
  )
})
