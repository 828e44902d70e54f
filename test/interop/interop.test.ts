import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, startDaemon } from '../support/daemon.ts'
import { goBuild } from '../support/go.ts'
import { QUICK } from '../support/quick.ts'
import { type Answer, editJson, flip, type Tampering, tamperingProxy } from './tamper.ts'
import { binDir, fsck, interop, interopDir, missingFsck, missingGo } from './tools.ts'

const noGo = await missingGo()
const noFsck = noGo ?? (await missingFsck())
const because = (reason: string | undefined): string => (reason === undefined ? '' : ` (skipped: ${reason})`)

let daemon: Daemon
let vkey: string
let appended = 0

beforeAll(async () => {
  if (noGo !== undefined) return
  await goBuild(interopDir, binDir, ['.'])
  daemon = await startDaemon({ moduleId: 'interop' })
  vkey = await daemon.vkey()
}, 300_000)

afterAll(async () => {
  await daemon?.dispose()
})

const vkeyFile = (): string => join(daemon.dir, 'keys/ed25519.vkey')

interface Line {
  payload_id: string
  payload?: unknown
  payload_base64?: string
  type?: string
}

/** A pseudo-random number below `n` that only depends on `seed`. */
function pick(seed: number, n: number): number {
  return Math.floor((((Math.sin(seed * 12.9898) * 43758.5453) % 1) + 1) * 1e6) % n
}

/** JSON of a few bytes to a few kilobytes, binary payloads, empty ones. */
function line(n: number): Line {
  const payload_id = `record-${n}`
  if (n % 7 === 3) {
    const bytes = Buffer.alloc(pick(n, 3000), n % 256)
    return { payload_id, payload_base64: bytes.toString('base64'), type: 'application/octet-stream' }
  }
  return { payload_id, payload: { n, text: 'ä€😀x'.repeat(pick(n, 300)), nested: [{ z: 1, a: null }] } }
}

async function post(body: string, contentType: string): Promise<void> {
  const response = await daemon.fetch('/v1/append', {
    method: 'POST',
    headers: { 'content-type': contentType },
    body,
  })
  if (response.status !== 200) throw new Error(`append: ${response.status} ${await response.text()}`)
  await response.arrayBuffer()
}

async function appendBatch(count: number): Promise<void> {
  const lines = Array.from({ length: count }, () => JSON.stringify(line(appended++)))
  await post(`${lines.join('\n')}\n`, 'application/x-ndjson')
}

async function appendOne(): Promise<void> {
  await post(JSON.stringify(line(appended++)), 'application/json')
}

/** A record over the 65,535 bytes that an entry holds: it is split. */
async function appendLarge(bytes: number): Promise<void> {
  const payload = Buffer.alloc(bytes, 'large ')
  const headers = { 'content-type': 'text/plain', 'x-payload-id': `large-${bytes}` }
  const response = await daemon.fetch('/v1/append', { method: 'POST', headers, body: payload })
  expect(response.status, await response.text()).toBe(200)
}

async function treeSize(): Promise<number> {
  const response = await daemon.fetch('/checkpoint')
  return Number((await response.text()).split('\n')[1])
}

async function expectGood(): Promise<void> {
  const size = await treeSize()
  const { code, report } = await interop(daemon.prefix, vkey)
  expect(report.failures).toEqual([])
  expect({ code, ok: report.ok, size: report.size }).toEqual({ code: 0, ok: true, size })
  expect(report.bundles).toBe(Math.ceil(size / 256))
}

async function expectFsckGood(): Promise<void> {
  expect(await fsck(daemon.prefix, vkeyFile())).toEqual({ good: await treeSize() })
}

describe.skipIf(noGo !== undefined)(
  `a log served over HTTP, checked with golang.org/x/mod${because(noGo)}`,
  () => {
    it('holds when it is empty', expectGood)

    it('holds with one entry', async () => {
      await appendOne()
      await expectGood()
    })

    it('holds with records of many sizes, appended in batches, one at a time and split', async () => {
      for (const count of [3, 250, 1, 2, 500, 300]) await appendBatch(count)
      await appendLarge(65_536)
      await Promise.all(Array.from({ length: 150 }, appendOne))
      await appendLarge(300_000)
      await appendBatch(290)
      if ((await treeSize()) % 256 === 0) await appendOne()
      expect(await treeSize()).toBeGreaterThan(1500)
      await expectGood()
    })

    it.skipIf(noFsck !== undefined)(
      `passes Tessera's fsck with partial tiles${because(noFsck)}`,
      expectFsckGood,
    )

    describe('answers changed in transit', () => {
      const control: Tampering = { path: /./, change: () => {} }
      const everyCase: [name: string, tampering: Tampering, complaint: RegExp, fsckToo: boolean][] = [
        ['full hash tile', on(/^tile\/0\/001$/, (a) => flip(a, 5000)), /tile\/0\/001: hash 156 is/, true],
        [
          'partial hash tile',
          on(/^tile\/0\/\d+\.p\//, (a) => flip(a, -1)),
          /tile\/0\/\d+\.p\/\d+: hash/,
          true,
        ],
        [
          'upper hash tile',
          on(/^tile\/1\/000\.p\//, (a) => flip(a, 3)),
          /tile\/1\/000\.p\/\d+: hash 0 is/,
          true,
        ],
        ['payload in a bundle', on(/^tile\/entries\/002$/, (a) => flip(a, -1)), /root: the checkpoint/, true],
        ['length in a bundle', on(/^tile\/entries\/000$/, (a) => flip(a, 1)), /tile\/entries\/000: /, true],
        ['partial bundle', on(/^tile\/entries\/\d+\.p\//, (a) => flip(a, -1)), /root: the checkpoint/, true],
        [
          'short bundle',
          on(/^tile\/entries\/001$/, truncate),
          /tile\/entries\/001: entry \d+ has length/,
          true,
        ],
        ['size in the checkpoint', on(/^checkpoint$/, otherSize), /signed note not accepted/, true],
        ['signature of the checkpoint', on(/^checkpoint$/, noSignature), /signed note not accepted/, true],
        [
          'an inclusion proof',
          on(/^v1\/proof\/inclusion\?index=0&size=256$/, otherHash),
          /inclusion\?index=0&size=256: /,
          false,
        ],
        [
          'a consistency proof',
          on(/^v1\/proof\/consistency\?from=255&to=256$/, otherHash),
          /from=255&to=256: /,
          false,
        ],
        ['a leaf hash', on(/^v1\/proof\/inclusion\?/, leafHash), /leaf_hash is/, false],
        [
          'media type of tiles',
          on(/^tile\//, (a) => (a.headers['content-type'] = 'text/plain')),
          /Content-Type/,
          false,
        ],
        [
          'caching of tiles',
          on(/^tile\//, (a) => (a.headers['cache-control'] = 'no-store')),
          /should be long-lived/,
          false,
        ],
        ['caching of the checkpoint', on(/^checkpoint$/, cached), /should prevent caching/, false],
        ['404 made a tile', on(/^tile\/1\/001$/, madeUp), /tile\/1\/001: status 200/, false],
        [
          '404 made a wider partial tile',
          on(/^tile\/0\/\d+\.p\/255$/, madeUp),
          /\.p\/255: status 200/,
          false,
        ],
        ['compression left out', on(/^tile\/entries\//, () => {}), /came uncompressed/, false],
      ]

      const cases = everyCase.filter((_, i) => !QUICK || i % 5 === 0)

      it('none: the proxy alone changes nothing', async () => {
        const proxy = await tamperingProxy(daemon.prefix)
        const { code, report } = await interop(proxy.prefix, vkey)
        await proxy.close()
        expect(report.failures).toEqual([])
        expect(code).toBe(0)
      })

      it.each(cases)('%s', async (_, tampering, complaint) => {
        const proxy = await tamperingProxy(daemon.prefix, tampering)
        const { code, report } = await interop(proxy.prefix, vkey)
        await proxy.close()
        expect(proxy.changed()).toBeGreaterThan(0)
        expect(report.failures.join('\n')).toMatch(complaint)
        expect({ code, ok: report.ok }).toEqual({ code: 1, ok: false })
      })

      it("another log's key of the same name", async () => {
        const other = await startDaemon({ moduleId: 'interop' })
        const otherKey = await other.vkey()
        await other.dispose()
        expect(otherKey.split('+')[0]).toBe(vkey.split('+')[0])
        const { code, report } = await interop(daemon.prefix, otherKey)
        expect(report.failures.join('\n')).toMatch(/signed note not accepted/)
        expect(code).toBe(1)
      })

      describe.skipIf(noFsck !== undefined)(`seen by Tessera's fsck${because(noFsck)}`, () => {
        it('none: the proxy alone changes nothing', async () => {
          const proxy = await tamperingProxy(daemon.prefix, control)
          const found = await fsck(proxy.prefix, vkeyFile())
          await proxy.close()
          expect(found).toEqual({ good: await treeSize() })
        })

        it.each(cases.filter(([, , , fsckToo]) => fsckToo))('%s', async (_, tampering) => {
          const proxy = await tamperingProxy(daemon.prefix, tampering)
          const found = await fsck(proxy.prefix, vkeyFile())
          await proxy.close()
          expect(proxy.changed()).toBeGreaterThan(0)
          expect(found.complaint).toMatch(/fsck failed/)
        })
      })
    })

    it('holds when the last bundle is full', async () => {
      const missing = 256 - ((await treeSize()) % 256)
      await appendBatch(missing)
      expect((await treeSize()) % 256).toBe(0)
      await expectGood()
    })

    it.skipIf(noFsck !== undefined)(
      `passes Tessera's fsck with full bundles only${because(noFsck)}`,
      expectFsckGood,
    )

    it('holds after a stop and a start', async () => {
      expect(await daemon.kill()).toBe(0)
      daemon = await daemon.restart()
      await expectGood()
      await appendBatch(5)
      await expectGood()
    })

    it('holds after SIGKILL', async () => {
      const before = await treeSize()
      await daemon.kill('SIGKILL')
      daemon = await daemon.restart()
      expect(await treeSize()).toBe(before)
      await expectGood()
    })
  },
)

function on(path: RegExp, change: (answer: Answer) => void): Tampering {
  return { path, change }
}

function truncate(answer: Answer): void {
  answer.body = answer.body.subarray(0, -1)
}

function otherSize(answer: Answer): void {
  const [origin, size, ...rest] = answer.body.toString('utf8').split('\n')
  answer.body = Buffer.from([origin, String(Number(size) - 1), ...rest].join('\n'))
}

/** Changes one base64 character of every signature. */
function noSignature(answer: Answer): void {
  const text = answer.body.toString('utf8')
  answer.body = Buffer.from(
    text.replaceAll(/^(— \S+ .{20})(.)/gm, (_, head: string, c: string) => head + (c === 'A' ? 'B' : 'A')),
  )
}

function otherHash(answer: Answer): void {
  editJson(answer, (value) => {
    const hashes = value['hashes']
    if (Array.isArray(hashes)) hashes[0] = Buffer.alloc(32).toString('base64')
  })
}

function leafHash(answer: Answer): void {
  editJson(answer, (value) => {
    if ('leaf_hash' in value) value['leaf_hash'] = Buffer.alloc(32).toString('base64')
  })
}

function cached(answer: Answer): void {
  answer.headers['cache-control'] = 'max-age=3600'
}

function madeUp(answer: Answer): void {
  answer.status = 200
  answer.headers['content-type'] = 'application/octet-stream'
  answer.body = Buffer.alloc(8192, 7)
}
