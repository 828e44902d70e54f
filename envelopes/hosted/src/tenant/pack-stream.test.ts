import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { makeAuthor, signJws } from '@service-fs/author/testing'
import { packDirectory } from '@service-fs/cli/examine/pack-directory'
import { withExamined } from '@service-fs/client/examine/ledger'
import { makePack } from '@service-fs/client/examine/pack'
import { checkFileProof } from '@service-fs/client/file-proof'
import { Trust } from '@service-fs/client/trust'
import { parseEntry } from '@service-fs/format/entry'
import { Selection } from '@service-fs/format/selection'
import { startHttp, type HttpServer } from '@service-fs/http/http'
import type { WireLedger } from '@service-fs/wire/call'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openPack } from './pack-stream.ts'
import { openTenant, type Tenant } from './tenant.ts'

const noPython = spawnSync('python3', ['-c', 'pass']).status !== 0
const READ_REPORT = 'import sys, zipfile; print(zipfile.ZipFile(sys.argv[1]).read("report.json").decode())'
const PYTHON = join(import.meta.dirname, '../../../../test/outsiders/pack.py')

let root = ''
let tenant: Tenant
let http: HttpServer
const reports: unknown[] = []

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'pack-'))
  tenant = await openTenant({ moduleId: 'acme', root })
  reports.length = 0
  const report = (error: unknown): void => void reports.push(error)
  http = await startHttp({ host: '127.0.0.1', port: 0 }, { wire: tenant.wire, report })
})
afterEach(async () => {
  tenant.wire.drain()
  await http.stop(100)
  await tenant.close()
  await rm(root, { recursive: true, force: true })
})

async function append(count: number, bytes: number): Promise<void> {
  const records = Array.from({ length: count }, (_, i) => ({
    id: `${i % 2 === 0 ? 'invoice' : 'note'}/${i}`,
    type: 'text/plain',
    // Compression does not make random bytes smaller.
    payload: randomBytes(bytes),
  }))
  await tenant.ledger.append(records)
}

const post = (body: string): Promise<Response> =>
  fetch(new URL('/v1/examine', http.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-foundry-module-id': 'acme' },
    body,
  })

const folder = (): Promise<string[]> => readdir(join(root, 'acme/cache/examine'))

describe('POST /v1/examine', () => {
  it.skipIf(noPython)(
    `sends the pack that the command makes${noPython ? ' (skipped: no python3)' : ''}`,
    async () => {
      await append(600, 50)
      const response = await post('{"prefix":"invoice/"}')
      expect(response.status).toBe(200)
      await writeFile(join(root, 'pack.zip'), Buffer.from(await response.arrayBuffer()))
      const at = join(root, 'unpacked')
      expect(spawnSync('python3', ['-m', 'zipfile', '-e', join(root, 'pack.zip'), at]).status).toBe(0)
      const verified = spawnSync('python3', ['-I', PYTHON, at], { encoding: 'utf8' })
      expect([verified.stderr, verified.stdout]).toEqual(['', expect.stringMatching(/^300 records of /)])
      const output = await packDirectory(join(root, 'local'))
      await withExamined(join(root, 'acme'), {}, (ledger) =>
        makePack(ledger, output, {
          selection: new Selection({ prefix: 'invoice/' }),
          signatures: () => Promise.reject(new Error('no record is signed')),
          made: new Date().toISOString(),
          program: 'test',
        }),
      )
      await output.finish()
      const all = (await readdir(at, { recursive: true })).sort()
      const files = all.filter((name) => !name.startsWith('audit'))
      expect(all.filter((name) => name.startsWith('audit/'))).toEqual([
        'audit/examination.json',
        'audit/examination.json.tlog-proof',
        'audit/keys.txt',
      ])
      expect(files).toEqual((await readdir(join(root, 'local'), { recursive: true })).sort())
      for (const name of ['index.csv', 'index.json', 'page/data-2.js', 'ledger/checkpoint', 'README.txt'])
        expect(await readFile(join(at, name), 'utf8')).toBe(await readFile(join(root, 'local', name), 'utf8'))
      expect(await folder()).toEqual([])
      const index = Number(response.headers.get('x-audit-index'))
      const { header, payload } = parseEntry(await tenant.audit.entry(index))
      expect([header.type, JSON.parse(Buffer.from(payload).toString())]).toEqual([
        'application/vnd.service-fs.read+json',
        expect.objectContaining({ route: '/v1/examine', prefix: 'invoice/', size: 600 }),
      ])
      expect(await readFile(join(at, 'audit/examination.json'))).toEqual(Buffer.from(payload))
      const { audit, checked } = JSON.parse(await readFile(join(at, 'report.json'), 'utf8'))
      const { origin, vkeys } = tenant.audit
      expect(audit).toMatchObject({ recorded: 'in-pack', index, origin, keys: vkeys })
      expect(checked.join('\n')).toContain(`${origin} recorded this examination as its entry ${index}`)
      const proof = await readFile(join(at, audit.proof), 'utf8')
      expect(proof.endsWith(`\n\n${audit.checkpoint}`)).toBe(true)
      const { policy } = Trust.pinned({
        vkeys: (await readFile(join(at, audit.keys_file), 'utf8')).trim().split('\n'),
      })!
      expect(await checkFileProof(proof, join(at, audit.file), policy)).toMatchObject({ index })
    },
  )

  it.skipIf(noPython)(
    'verifies the signatures of authors, and sends the records that have them',
    async () => {
      const { author } = makeAuthor(root)
      const payload = Buffer.from('signed')
      const headers = { 'x-foundry-module-id': 'acme', 'content-type': 'text/plain', 'x-payload-id': 'a' }
      const appended = await fetch(new URL('/v1/append', http.url), {
        method: 'POST',
        headers: { ...headers, 'x-signature': signJws(payload, author) },
        body: payload,
      })
      expect(appended.status).toBe(200)
      await writeFile(join(root, 'pack.zip'), Buffer.from(await (await post('{"prefix":"a"}')).arrayBuffer()))
      const read = spawnSync('python3', ['-c', READ_REPORT, join(root, 'pack.zip')], { encoding: 'utf8' })
      expect(read.stderr).toBe('')
      const { records, counts } = JSON.parse(read.stdout)
      expect(counts).toMatchObject({ signed: 1, signatures_verified: 1, signatures_added: 1 })
      expect(records).toMatchObject([
        { id: 'a', author: { verified: true, issuer: 'CN=middle-p256', signature: { cursor: 2 } } },
        { cursor: 2, signature_of: 'a' },
      ])
    },
  )

  it('stops making a pack when the client disconnects', async () => {
    await append(40, 65_000)
    for (let i = 0; i < 3; i++) {
      await new Promise<void>((resolve, reject) => {
        const asked = request(new URL('/v1/examine', http.url), {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'x-foundry-module-id': 'acme' },
        })
        asked.once('error', reject)
        asked.once('response', (response) => {
          response.on('error', () => undefined)
          response.once('data', () => {
            response.destroy()
            resolve()
          })
        })
        asked.end('{}')
      })
      await expect.poll(folder).toEqual([])
    }
    const whole = await post('{}')
    expect(whole.status).toBe(200)
    await whole.arrayBuffer()
    expect(reports).toEqual([])
  })
})

/** Counts the entries that are read, and changes the last byte of one of them. */
function watched(ledger: WireLedger, damaged = -1): { ledger: WireLedger; read: () => number } {
  let read = 0
  const change = (bytes: Uint8Array, index: number): Uint8Array => {
    if (index !== damaged) return bytes
    const changed = bytes.slice()
    changed[changed.length - 1]! ^= 1
    return changed
  }
  const proxy: Partial<WireLedger> = {
    vkeys: ledger.vkeys,
    checkpoint: () => ledger.checkpoint(),
    hashTile: (level, index, width) => ledger.hashTile(level, index, width),
    async entries(from, to) {
      read = Math.max(read, to)
      return (await ledger.entries(from, to)).map((bytes, i) => change(bytes, from + i))
    },
  }
  return { ledger: proxy as WireLedger, read: () => read }
}

describe('a pack of an open ledger', () => {
  it('reads the ledger no faster than the client reads the pack', async () => {
    await append(2048, 4000)
    const { ledger, read } = watched(tenant.ledger)
    const pack = await openPack({ ledger, folder: join(root, 'waiting') }, new Selection({}))
    expect([pack.size, read()]).toEqual([2048, 0])
    let bytes = 0
    for (let piece = await pack.next(); piece.done !== true; piece = await pack.next()) {
      bytes += piece.value.length
      // Without back-pressure, the work would continue meanwhile.
      for (let i = 0; i < 20; i++) await setImmediate()
      // A record has more bytes in the archive than in the ledger. Three bundles, or 3 MiB, may be on their way.
      expect(read()).toBeLessThanOrEqual(bytes / 4000 + 4 * 256 + 1)
    }
    expect(await readdir(join(root, 'waiting'))).toEqual([])
  })

  it('sends a pack without its end when an entry does not verify', async () => {
    await append(600, 3000)
    const { ledger } = watched(tenant.ledger, 555)
    const pack = await openPack({ ledger, folder: join(root, 'waiting') }, new Selection({}))
    const all = async (): Promise<void> => {
      while ((await pack.next()).done !== true);
    }
    await expect(all()).rejects.toThrow('entry 555: expected leaf hash')
    expect(await readdir(join(root, 'waiting'))).toEqual([])
  })

  it('stops making a pack when the client reads nothing for too long', async () => {
    await append(300, 4000)
    const options = { ledger: tenant.ledger, folder: join(root, 'waiting'), patience: 1 }
    const pack = await openPack(options, new Selection({}))
    await pack.next()
    await expect.poll(() => readdir(options.folder)).toEqual([])
    await expect(pack.next()).rejects.toThrow('the client read nothing')
  })
})
