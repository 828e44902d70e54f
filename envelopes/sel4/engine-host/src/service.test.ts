// Tests all of Envelope B on a host: the bundle in QuickJS, TCP, and PSDB as a process.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { nativeCrypto, nativeHasher } from '@service-fs/native/native'
import { openCheckpoint } from '@service-fs/tlog/checkpoint'
import { formatSignerKey, signerFromKey, verifierFromVkey, type KeySigner } from '@service-fs/tlog/keys'
import { verifyInclusion } from '@service-fs/tlog/proof'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openDisk, type Disk } from './disk.ts'
import { startService, type Service, type ServiceOptions } from './service.ts'

const folder = fileURLToPath(new URL('../../bundle', import.meta.url))
const isBuilt = existsSync(new URL('../dist/psdb-host', import.meta.url))
const ORIGIN = 'example.org/ledger/acme'

function signer(name: string): KeySigner {
  const seed = new Uint8Array(32).fill(name.length)
  return signerFromKey(formatSignerKey({ name, type: 1, seed }, nativeCrypto), nativeCrypto)
}
const signers = [signer(ORIGIN), signer(`${ORIGIN}/audit`)] as const

let dir: string
let running: { service: Service; disk: Disk; log: string[]; failures: Error[] } | undefined

beforeAll(() => {
  execFileSync(process.execPath, [join(folder, 'build.mjs')])
})
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'service-'))
})
afterEach(async () => {
  await stop()
  await rm(dir, { recursive: true, force: true })
})

async function stop(): Promise<void> {
  const stopping = running
  running = undefined
  if (stopping === undefined) return
  await stopping.service.stop().catch(() => undefined)
  await stopping.disk.close().catch(() => undefined)
}

async function start(options: Partial<ServiceOptions> = {}, limits = {}): Promise<string> {
  const disk = await openDisk({
    disk: join(dir, 'acme.img'),
    size: 256 * 2 ** 20,
    moduleId: 'acme',
    report: () => undefined,
  })
  const log: string[] = []
  const failures: Error[] = []
  try {
    const service = await startService({
      config: { moduleId: 'acme', origin: ORIGIN, version: '0.0.0', limits },
      signers,
      listen: { host: '127.0.0.1', port: 0 },
      channel: disk.channel,
      log: (line) => log.push(line),
      failed: (error) => failures.push(error),
      ...options,
    })
    running = { service, disk, log, failures }
    return service.url
  } catch (error) {
    await disk.close()
    throw error
  }
}

const append = (url: string, id: string, payload: unknown): Promise<Response> =>
  fetch(`${url}t/acme/v1/append`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ payload_id: id, payload }),
  })

const postRaw = (url: string, id: string, body: Uint8Array<ArrayBuffer> | string): Promise<Response> =>
  fetch(`${url}t/acme/v1/append`, { method: 'POST', headers: { 'x-payload-id': id }, body })

const rawRecord = (id: string, payload: Buffer): RequestInit => ({
  headers: { 'x-payload-id': id },
  body: new Uint8Array(payload),
})
const jsonRecord = (id: string, payload: Buffer): RequestInit => ({
  headers: { 'content-type': 'application/json' },
  body: `{"payload_id":"${id}","payload_base64":"${payload.toString('base64')}"}`,
})

async function json(answer: Response | Promise<Response>): Promise<any> {
  return (await answer).json()
}

/** Sends bytes, one character each, and returns the bytes received until the connection ends. */
function raw(url: string, text: string, hold = false): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(
      { port: Number(new URL(url).port), host: '127.0.0.1', allowHalfOpen: true },
      () => {
        socket.write(Buffer.from(text, 'latin1'))
        if (!hold) socket.end()
      },
    )
    let got = ''
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => (got += chunk))
    socket.on('error', reject)
    socket.on('end', () => {
      socket.end()
      resolve(got)
    })
  })
}

const nested = (depth: number): string =>
  `{"payload_id":"deep-${depth}","payload":${'['.repeat(depth)}${']'.repeat(depth)}}`

const sleep = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms))

describe.skipIf(!isBuilt)('Envelope B on a host', () => {
  it('appends, reads, proves and records its reads, across restarts', async () => {
    let url = await start()
    for (let i = 0; i < 20; i++) expect((await append(url, `one-${i}`, { i })).status).toBe(200)
    const lines = Array.from({ length: 700 }, (_, i) =>
      JSON.stringify({ payload_id: `many-${i}`, payload: i }),
    )
    const batch = await fetch(`${url}t/acme/v1/append`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: lines.join('\n'),
    })
    expect((await json(batch)).entries).toHaveLength(700)
    for (let round = 0; round < 2; round++) {
      const proof = await json(fetch(`${url}t/acme/v1/proof/inclusion?index=300`))
      const { checkpoint } = openCheckpoint(
        await (await fetch(`${url}t/acme/checkpoint`)).text(),
        [verifierFromVkey(signers[0].vkey, nativeCrypto)],
        ORIGIN,
      )
      expect(checkpoint.size).toBe(720)
      verifyInclusion(
        { index: 300, size: 720, leafHash: proof.leaf_hash, root: checkpoint.root, proof: proof.hashes },
        nativeHasher,
      )
      expect(await json(fetch(`${url}t/acme/v1/records/many-699`))).toMatchObject({
        cursor: 720,
        payload: 699,
      })
      expect((await fetch(`${url}t/acme/tile/entries/001`)).status).toBe(200)
      expect(await json(append(url, 'one-3', { i: 3 }))).toMatchObject({ cursor: 4, duplicate: true })
      expect((await append(url, 'one-3', { i: 4 })).status).toBe(409)
      const audit = await json(fetch(`${url}t/acme/audit/v1/entries?limit=1000`))
      // Each round adds four reads and two appends that revealed existing records. Later rounds also find the audit reads of earlier
      // rounds.
      expect(audit.entries).toHaveLength(7 * round + 6)
      await stop()
      url = await start()
    }
    expect(running?.log).toEqual([])
  })

  it('accepts the largest payload, and arbitrary bytes', async () => {
    const url = await start()
    const large = new Uint8Array(16 * 2 ** 20).map((_, i) => (i * i) >> 7)
    expect((await postRaw(url, 'large', large)).status).toBe(200)
    const found = await json(fetch(`${url}t/acme/v1/records/large`))
    expect(Buffer.from(found.payload_base64, 'base64').equals(Buffer.from(large))).toBe(true)
    for (const [id, bytes] of [
      ['zeros', Buffer.alloc(100_000)],
      ['a quote and zeros', Buffer.from('"\0\0\0"')],
      ['a byte order mark', Buffer.from('\ufeff{}')],
      ['a lone surrogate', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
      ['all bytes', Buffer.from(Array.from({ length: 256 }, (_, i) => i))],
      ['astral', Buffer.from('"𝄞é\u0800"')],
    ] as const) {
      expect((await postRaw(url, id, new Uint8Array(bytes))).status, id).toBe(200)
      const { payload, payload_base64: base64 } = await json(fetch(`${url}t/acme/v1/records/${id}`))
      if (id === 'astral') expect(payload).toBe('𝄞é\u0800')
      else expect(Buffer.from(base64, 'base64').equals(bytes), id).toBe(true)
    }
  })

  it('accepts the largest batch in the memory that the appliance gives each of two tenants', async () => {
    const url = await start({ engine: { memoryBytes: 176 * 2 ** 20, callMs: 120_000 } })
    const { append_bytes: most } = (await json(fetch(`${url}t/acme/v1/contract`))).limits
    const payload = Buffer.alloc(Math.floor((most / 4 - 1000) / 4) * 3, 1).toString('base64')
    const body = [1, 2, 3, 4].map((i) => `{"payload_id":"l${i}","payload_base64":"${payload}"}\n`).join('')
    for (const [sent, status] of [
      [body, 200],
      [`${body}{"payload_id":"l5","payload_base64":"${payload}"}\n`, 413],
    ] as const) {
      const headers = { 'content-type': 'application/x-ndjson' }
      const answer = await fetch(`${url}t/acme/v1/append`, { method: 'POST', headers, body: sent })
      expect(answer.status).toBe(status)
    }
    expect((await append(url, 'after', 1)).status).toBe(200)
  })

  it.each([
    ['raw records', 'two tenants', 176, rawRecord],
    ['JSON records', 'a single tenant', 192, jsonRecord],
  ] as const)(
    'accepts the largest %s, one after the other, in the memory of %s on the appliance',
    async (_, _tenants, mebibytes, request) => {
      const url = await start({ engine: { memoryBytes: mebibytes * 2 ** 20, callMs: 120_000 } })
      for (const [i, id] of ['first', 'second', 'third'].entries()) {
        const sent = request(id, Buffer.alloc(16 * 2 ** 20, i))
        const answer = await fetch(`${url}t/acme/v1/append`, { method: 'POST', ...sent })
        expect([id, answer.status]).toEqual([id, 200])
      }
      expect(running?.failures).toEqual([])
    },
  )

  it('refuses deeply nested JSON and JSON with a NUL, and keeps running', async () => {
    const url = await start()
    const post = (body: string): Promise<Response> =>
      fetch(`${url}t/acme/v1/append`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      })
    expect((await post(nested(127))).status).toBe(200)
    for (const depth of [129, 1000, 3000, 5000, 6000, 10_000, 1_000_000])
      expect((await post(nested(depth))).status, String(depth)).toBe(400)
    expect((await post('['.repeat(5_000_000))).status).toBe(400)
    expect((await post('{"a":'.repeat(1_000_000))).status).toBe(400)
    expect((await post('{"payload_id":"x","payload":1}\0')).status).toBe(400)
    expect((await post('{"payload_id":"x\0","payload":1}')).status).toBe(400)
    expect((await post('{"payload_id":"x","payload":"\\u0000"}')).status).toBe(200)
    expect((await json(fetch(`${url}t/acme/v1/records/x`))).payload).toBe('\0')
    expect((await fetch(`${url}t/acme/v1/records/x%00`)).status).toBe(400)
    expect(running?.failures).toEqual([])
  })

  it('answers valid HTTP, and rejects other bytes and slow clients', async () => {
    const url = await start({}, { headTimeout: 500, requestTimeout: 1500, idleTimeout: 3000 })
    const get = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'
    expect((await raw(url, get.repeat(50))).match(/HTTP\/1\.1 200 OK/g)).toHaveLength(50)
    expect(await raw(url, 'HELLO\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
    expect(await raw(url, get.replace('localhost', 'evil.example'))).toMatch(/^HTTP\/1\.1 421 /)
    const type = 'Content-Type: application/json\r\n'
    // A slow head, a slow body, and a silent client. The service answers others meanwhile.
    const slow = Promise.all([
      raw(url, 'GET / HTTP/1.1\r\nX-A: b', true),
      raw(
        url,
        `POST /t/acme/v1/append HTTP/1.1\r\nHost: localhost\r\n${type}Content-Length: 9\r\n\r\nabc`,
        true,
      ),
      raw(url, '', true),
    ])
    expect((await append(url, 'meanwhile', 1)).status).toBe(200)
    const [head, body, none] = await slow
    expect([head, body]).toEqual([expect.stringMatching(/ 408 /), expect.stringMatching(/ 408 /)])
    expect(none).toBe('')
  })

  it('answers 413 to a client that sends too much', async () => {
    const url = await start()
    const tooLarge = await postRaw(url, 'large', new Uint8Array(17 * 2 ** 20))
    expect([tooLarge.status, (await json(tooLarge)).code]).toEqual([413, 'too-large'])
  })

  it('commits concurrent appends together, and answers each when it is durable', async () => {
    const url = await start()
    const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => json(append(url, `r${i}`, i))))
    const cursors = answers.map(({ cursor }) => cursor as number).sort((a, b) => a - b)
    expect(cursors).toEqual(Array.from({ length: 300 }, (_, i) => i + 1))
    const metrics = await (await fetch(`${url}metrics`)).text()
    expect(metrics).toContain('service_fs_tree_size{ledger="main"} 300')
    expect(metrics).toContain('service_fs_request_seconds_count{method="POST",status="200"} 300')
    expect(metrics).toMatch(/service_fs_disk_sectors 524288\n/)
  })

  it('finishes requests under way when it stops', async () => {
    const url = await start()
    const asked = Promise.allSettled(Array.from({ length: 20 }, (_, i) => append(url, `r${i}`, i)))
    await sleep(5)
    await stop()
    // A connection whose request was not read yet is closed without an answer.
    const statuses = (await asked).flatMap((one) => (one.status === 'fulfilled' ? [one.value.status] : []))
    expect(statuses.filter((status) => status !== 200)).toEqual([])
    await expect(fetch(`${url}healthz`)).rejects.toThrow('fetch failed')
    expect((await stat(join(dir, 'acme.img'))).size).toBe(256 * 2 ** 20)
  })

  it('stops when PSDB ends, and reports it', async () => {
    const url = await start()
    await append(url, 'a', 1)
    const pid = execFileSync('pgrep', ['-P', String(process.pid), 'psdb-host'], { encoding: 'utf8' })
    process.kill(Number(pid.trim()), 'SIGKILL')
    await expect.poll(() => running?.failures[0]?.message).toMatch(/psdb-host: ended with SIGKILL/)
    await expect(fetch(`${url}healthz`)).rejects.toThrow('fetch failed')
  })

  it('stops when the script loops or throws', async () => {
    const script = `globalThis.serviceFs = { start() { host.started() }, opened() {}, data(id, bytes) { if (bytes.byteLength > 0) for (;;); throw new Error('no more') }, closed() {} }`
    const url = await start({ script: { text: script, name: 'loop.js' }, engine: { callMs: 200 } })
    await expect(fetch(`${url}healthz`)).rejects.toThrow('fetch failed')
    expect(running?.failures[0]?.message).toContain('ran for more than 200 ms')
    await stop()
    const other = await start({ script: { text: script, name: 'loop.js' } })
    const socket = connect(Number(new URL(other).port), '127.0.0.1', () => socket.destroy())
    await expect.poll(() => running?.failures[0]?.message).toMatch(/no more[^]*loop\.js/)
  })

  it('refuses a ledger with another key, and an address in use', async () => {
    const url = await start()
    await append(url, 'a', 1)
    await stop()
    const others = [signer(ORIGIN), signer(`${ORIGIN}/audit`)] as const
    const foreign = signerFromKey(
      formatSignerKey({ name: ORIGIN, type: 1, seed: new Uint8Array(32).fill(99) }, nativeCrypto),
      nativeCrypto,
    )
    await expect(start({ signers: [foreign, others[1]] })).rejects.toThrow(
      'expected a signature of a known key',
    )
    const taken = createServer()
    await new Promise<void>((resolve) => void taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as AddressInfo
    await expect(start({ listen: { host: '127.0.0.1', port } })).rejects.toThrow('EADDRINUSE')
    taken.close()
  })
})
