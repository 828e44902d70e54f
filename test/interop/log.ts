// The log of one test file: a daemon, records of many sizes, and the checks by independent programs.
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Daemon, startDaemon } from '../support/daemon.ts'
import { goBuild } from '../support/go.ts'
import type { CASES } from './cases.ts'
import { tamperingProxy } from './tamper.ts'
import { binDir, fsck, interop, interopDir, missingFsck, missingGo } from './tools.ts'

export const noGo = await missingGo()
export const noFsck = noGo ?? (await missingFsck())
export const because = (reason: string | undefined): string =>
  reason === undefined ? '' : ` (skipped: ${reason})`

export let daemon: Daemon
export let vkey: string
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

export const vkeyFile = (): string => join(daemon.dir, 'keys/ed25519.vkey')

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

export async function appendBatch(count: number): Promise<void> {
  const lines = Array.from({ length: count }, () => JSON.stringify(line(appended++)))
  await post(`${lines.join('\n')}\n`, 'application/x-ndjson')
}

export async function appendOne(): Promise<void> {
  await post(JSON.stringify(line(appended++)), 'application/json')
}

/** A record over the 65,535 bytes that an entry holds: it is split. */
export async function appendLarge(bytes: number): Promise<void> {
  const payload = Buffer.alloc(bytes, 'large ')
  const headers = { 'content-type': 'text/plain', 'x-payload-id': `large-${bytes}` }
  const response = await daemon.fetch('/v1/append', { method: 'POST', headers, body: payload })
  expect(response.status, await response.text()).toBe(200)
}

export async function treeSize(): Promise<number> {
  const response = await daemon.fetch('/checkpoint')
  return Number((await response.text()).split('\n')[1])
}

export async function expectGood(): Promise<void> {
  const size = await treeSize()
  const { code, report } = await interop(daemon.prefix, vkey)
  expect(report.failures).toEqual([])
  expect({ code, ok: report.ok, size: report.size }).toEqual({ code: 0, ok: true, size })
  expect(report.bundles).toBe(Math.ceil(size / 256))
}

export async function expectFsckGood(): Promise<void> {
  expect(await fsck(daemon.prefix, vkeyFile())).toEqual({ good: await treeSize() })
}

/** Appends more than 1,500 entries: in batches, one at a time and split. The last bundle is partial. */
export async function fill(): Promise<void> {
  for (const count of [3, 250, 1, 2, 500, 300]) await appendBatch(count)
  await appendLarge(65_536)
  await Promise.all(Array.from({ length: 150 }, appendOne))
  await appendLarge(300_000)
  await appendBatch(290)
  if ((await treeSize()) % 256 === 0) await appendOne()
  expect(await treeSize()).toBeGreaterThan(1500)
}

/** Restarts the daemon. */
export async function restart(signal?: 'SIGKILL'): Promise<void> {
  const code = await daemon.kill(signal)
  if (signal === undefined) expect(code).toBe(0)
  daemon = await daemon.restart()
}

/** Tests that the program of this folder complains about each changed answer. */
export function testProgram(cases: typeof CASES): void {
  it.each(cases)('%s', async (_, tampering, complaint) => {
    const proxy = await tamperingProxy(daemon.prefix, tampering)
    const { code, report } = await interop(proxy.prefix, vkey)
    await proxy.close()
    expect(proxy.changed()).toBeGreaterThan(0)
    expect(report.failures.join('\n')).toMatch(complaint)
    expect({ code, ok: report.ok }).toEqual({ code: 1, ok: false })
  })
}

/** Tests that Tessera's fsck complains about the changed answers that it reads. */
export function testFsck(cases: typeof CASES): void {
  it.each(cases.filter(([, , , fsckToo]) => fsckToo))('%s', async (_, tampering) => {
    const proxy = await tamperingProxy(daemon.prefix, tampering)
    const found = await fsck(proxy.prefix, vkeyFile())
    await proxy.close()
    expect(proxy.changed()).toBeGreaterThan(0)
    expect(found.complaint).toMatch(/fsck failed/)
  })
}
