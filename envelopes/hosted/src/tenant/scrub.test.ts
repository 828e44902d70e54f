// The background check of a running daemon: its reports, and its entries in the ledger.
import { chmodSync, existsSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { start, type Daemon } from './daemon.ts'

let root: string
let daemon: Daemon | undefined
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'scrub-'))
})
afterEach(async () => {
  await daemon?.stop()
  daemon = undefined
  await rm(root, { recursive: true, force: true })
})

const lines: string[] = []

async function begin(periodMs?: number): Promise<Daemon> {
  await daemon?.stop()
  const listen = { host: '127.0.0.1', port: 0 }
  const scrub = periodMs === undefined ? {} : { scrub: { periodMs } }
  daemon = await start({ moduleId: 'acme', root, listen, origin: undefined, ...scrub }, (line) => {
    lines.push(line)
  })
  return daemon
}

/** Returns the events in the ledger other than complete passes. */
async function events({ tenant }: Daemon): Promise<unknown[]> {
  const found: unknown[] = []
  // The test appended the earlier records; some cannot be read while their bundle is damaged.
  for await (const { type, payload } of tenant.ledger.records(600)) {
    if (type !== 'application/vnd.service-fs.scrub+json') continue
    const event = JSON.parse(Buffer.from(payload).toString()) as { event: string; path?: string }
    if (event.event !== 'passed') found.push([event.event, event.path])
  }
  return found
}

async function metric({ url }: Daemon, name: string): Promise<number> {
  const text = await (await fetch(`${url}metrics`)).text()
  return Number(new RegExp(`^${name}\\{.*ledger="main".*\\} (\\S+)$`, 'm').exec(text)?.[1])
}

async function append({ tenant }: Daemon): Promise<void> {
  const payload = Buffer.from('some text')
  for (const batch of [0, 300])
    await tenant.ledger.append(
      Array.from({ length: 300 }, (_, i) => ({ id: `r${batch + i}`, type: 'text/plain', payload })),
    )
}

/** Gives the ledger a second tree; resolves when the tree's checkpoint covers the log. */
async function addTree({ url }: Daemon): Promise<void> {
  const headers = { 'x-foundry-module-id': 'acme', 'content-type': 'application/json' }
  const body = JSON.stringify({ hash: 'sha2-512' })
  expect((await fetch(`${url}v1/rehash`, { method: 'POST', headers, body })).status).toBe(200)
  await expect
    .poll(async () => {
      const { trees } = (await (await fetch(`${url}v1/trees`, { headers })).json()) as { trees: Tree[] }
      return trees.map(({ state, signed_size: signed, log_size: log }) => [state, signed === log])
    })
    .toEqual([['kept', true]])
}

interface Tree {
  state: string
  signed_size: number
  log_size: number
}

it('a daemon reports a damaged tile of a second tree, and later that it was repaired', async () => {
  const first = await begin()
  await append(first)
  await addTree(first)
  await first.stop()
  daemon = undefined
  const path = 'sha2-512/tile/0/001.b64'
  const file = join(root, 'acme', path)
  const right = readFileSync(file)
  unlinkSync(file)
  writeFileSync(file, right.subarray(0, 5_000))
  // Without its key the tree is not continued, but its tiles are checked.
  const key = join(root, '.secret/acme/sha2-512-ed25519.key')
  renameSync(key, `${key}.away`)

  const second = await begin(400)
  await expect.poll(() => metric(second, 'service_fs_scrub_damaged_files')).toBe(1)
  await expect.poll(() => events(second)).toEqual([['damaged', path]])
  const ready = await fetch(`${second.url}readyz`)
  expect([ready.status, await ready.json()]).toMatchObject([200, { ready: true, scrub: { damaged: true } }])
  await second.stop()
  daemon = undefined

  unlinkSync(file)
  writeFileSync(file, right, { mode: 0o444 })
  renameSync(`${key}.away`, key)
  const third = await begin(60_000)
  await expect
    .poll(() => events(third))
    .toEqual([
      ['damaged', path],
      ['repaired', path],
    ])
  expect(await (await fetch(`${third.url}readyz`)).json()).toMatchObject({ scrub: { damaged: false } })
})

it('a daemon reports that a file is damaged, and later that it was repaired', async () => {
  const first = await begin()
  await append(first)
  await first.stop()
  daemon = undefined
  const path = 'tile/entries/000.b64'
  const file = join(root, 'acme', path)
  const right = readFileSync(file)
  const wrong = Buffer.from(right)
  wrong[9] = (wrong[9] as number) ^ 1
  chmodSync(file, 0o600)
  writeFileSync(file, wrong)

  const second = await begin(400)
  await expect.poll(() => metric(second, 'service_fs_scrub_damaged_files')).toBe(1)
  await expect.poll(() => events(second)).toEqual([['damaged', path]])
  expect(await metric(second, 'service_fs_scrub_read_bytes')).toBeGreaterThan(0)
  await expect.poll(() => metric(second, 'service_fs_scrub_passed_seconds')).toBeGreaterThan(1e9)
  const ready = await fetch(`${second.url}readyz`)
  expect(ready.status).toBe(200)
  expect(await ready.json()).toMatchObject({
    ready: true,
    scrub: { damaged: true, reason: 'a sealed file is damaged: the log names it' },
  })
  expect(lines.some((line) => line.includes('a sealed file is damaged') && line.includes(path))).toBe(true)
  await second.stop()
  daemon = undefined
  expect(existsSync(join(root, 'acme/cache/scrub'))).toBe(true)

  unlinkSync(file)
  writeFileSync(file, right, { mode: 0o444 })
  const third = await begin(60_000)
  await expect
    .poll(() => events(third))
    .toEqual([
      ['damaged', path],
      ['repaired', path],
    ])
  expect(await (await fetch(`${third.url}readyz`)).json()).toMatchObject({ scrub: { damaged: false } })
})
