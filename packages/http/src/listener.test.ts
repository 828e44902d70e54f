import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Connections } from './connections.ts'
import { hasOpenssl, issue, makeCa } from './testing-certificates.ts'
import { startListener, type HttpServer, type TlsMaterial } from './listener.ts'

const why = hasOpenssl ? '' : ' (skipped: no openssl)'

describe.skipIf(!hasOpenssl)(`TLS${why}`, () => {
  let dir: string
  let ca: string
  let first: TlsMaterial
  let second: TlsMaterial
  let server: HttpServer
  const reports: unknown[] = []

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'listener-'))
    const authority = makeCa(dir, 'ca')
    const read = (name: string): TlsMaterial => {
      const { certificate, key } = issue(dir, name, authority)
      return { certificate: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') }
    }
    ca = readFileSync(authority.certificate, 'utf8')
    first = read('first')
    second = read('second')
    const options = { tls: first, headersTimeout: 500, report: (error: unknown) => void reports.push(error) }
    server = await startListener({ host: '127.0.0.1', port: 0 }, options, async (_, out) => {
      out.end('hello')
    })
  })
  afterAll(async () => {
    await server.stop(1000)
    rmSync(dir, { recursive: true })
  })

  const port = (): number => Number(new URL(server.url).port)
  const secure = async (): Promise<TLSSocket> => {
    const socket = connectTls({ port: port(), host: '127.0.0.1', ca, servername: 'localhost' })
    await once(socket, 'secureConnect')
    return socket
  }
  it('uses a new certificate for new connections and keeps existing ones open', async () => {
    const before = await secure()
    expect([before.getPeerCertificate().subject.CN, await ask(before)]).toEqual([
      'first',
      expect.stringContaining('hello'),
    ])
    server.updateTls(second)
    const after = await secure()
    expect([after.getPeerCertificate().subject.CN, await ask(before), await ask(after)]).toEqual([
      'second',
      expect.stringContaining('hello'),
      expect.stringContaining('hello'),
    ])
    before.destroy()
    after.destroy()
  })

  it('closes incomplete and invalid handshakes while it serves other connections', async () => {
    const silent = connect(port(), '127.0.0.1')
    const half = connect(port(), '127.0.0.1', () => half.write(Buffer.from('16030100c8010000c40303', 'hex')))
    const plain = connect(port(), '127.0.0.1', () => plain.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'))
    for (const socket of [silent, half, plain]) {
      socket.on('error', () => undefined)
      socket.resume()
    }
    await Promise.all([silent, half, plain].map((socket) => once(socket, 'close')))
    const socket = await secure()
    expect(await ask(socket)).toContain('hello')
    socket.destroy()
    expect(reports).toEqual([])
  })

  it('stops without waiting for an incomplete handshake', async () => {
    const patient = await startListener({ host: '127.0.0.1', port: 0 }, { tls: first }, async () => undefined)
    const half = connect(Number(new URL(patient.url).port), '127.0.0.1', () =>
      half.write(Buffer.from('16030100c8010000c40303', 'hex')),
    )
    half.on('error', () => undefined)
    await once(half, 'connect')
    const started = performance.now()
    await patient.stop(200)
    expect(performance.now() - started).toBeLessThan(4000)
  })

  it('refuses TLS 1.1', async () => {
    const old = connectTls({
      port: port(),
      host: '127.0.0.1',
      ca,
      servername: 'localhost',
      maxVersion: 'TLSv1.1',
      minVersion: 'TLSv1',
    })
    await expect(once(old, 'secureConnect')).rejects.toThrow()
  })
})

it('the listener reports that a connection could not be accepted', async () => {
  const connections = new Connections()
  const watch = vi.spyOn(connections, 'watch')
  const reports: unknown[] = []
  const options = { connections, report: (error: unknown) => void reports.push(error) }
  const server = await startListener({ host: '127.0.0.1', port: 0 }, options, async () => undefined)
  const error = new Error('accept ENFILE')
  watch.mock.calls[0]?.[0].emit('error', error)
  expect(reports).toEqual([error])
  await server.stop(0)
})

async function ask(socket: TLSSocket): Promise<string> {
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  const [answer] = (await once(socket, 'data')) as [Buffer]
  return answer.toString()
}
