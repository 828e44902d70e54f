// Kills `service-fs append` or the daemon with kill -9 in the middle of an append: the next run, or the same one, finishes it without duplicates.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { serviceFs, serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'
import { collect, end, sleep } from '../support/process.ts'

const FILES = 1200
/** The number of records after which a process is killed. */
const SOME = 60
/** One small request after the other, so that the append takes long. */
const SLOWLY = ['--batch', '2', '--in-order', '--json']

let dir = ''
let daemon: Daemon
let child: ChildProcess | undefined

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'append-resumed-'))
  daemon = await startDaemon({ root: join(dir, 'root') })
})
afterEach(async () => {
  if (child !== undefined) await end(child, 'SIGKILL')
  child = undefined
  await daemon.dispose()
  await rm(dir, { recursive: true, force: true })
})

/** The content of each file, by its id. */
async function makeFiles(): Promise<Map<string, string>> {
  const contents = new Map<string, string>()
  for (let i = 0; i < FILES; i++) {
    const id = `files/${i % 7}/${i}`
    await mkdir(join(dir, `files/${i % 7}`), { recursive: true })
    contents.set(id, `content of ${i}`)
    await writeFile(join(dir, id), `content of ${i}`)
  }
  return contents
}

function start(args: readonly string[], input: 'ignore' | 'pipe' = 'ignore'): ChildProcess {
  child = spawn(process.execPath, [serviceFs, 'append', ...args, '--url', daemon.prefix], {
    stdio: [input, 'pipe', 'pipe'],
  })
  return child
}

async function size(): Promise<number> {
  const response = await daemon.fetch('v1/checkpoint')
  return Number((await response.text()).split('\n')[1])
}

/** Waits until the ledger has some records, or the process has ended. */
async function someAppended(running: ChildProcess): Promise<number> {
  for (;;) {
    const now = await size()
    if (now >= SOME || running.exitCode !== null) return now
    await sleep(2)
  }
}

/** Returns the content of each record, by its id. Fails if an id is there twice. */
async function records(): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (let since = 0; ;) {
    const page = (await (await daemon.fetch(`v1/entries?since=${since}&limit=1000`)).json()) as any
    if (page.entries.length === 0) return found
    since = page.next_cursor
    for (const { payload_id: id, payload, payload_base64: base64 } of page.entries) {
      expect(found.has(id), id).toBe(false)
      found.set(id, base64 === undefined ? JSON.stringify(payload) : Buffer.from(base64, 'base64').toString())
    }
  }
}

it('append finishes a killed append of a directory, without duplicates', async () => {
  const contents = await makeFiles()
  const running = start([join(dir, 'files'), ...SLOWLY])
  await someAppended(running)
  running.kill('SIGKILL')
  await once(running, 'close')
  expect(running.signalCode, 'the append ended before it was killed').toBe('SIGKILL')
  const before = await size()
  expect(before).toBeGreaterThanOrEqual(SOME)
  const again = await serviceFsCommand(['append', join(dir, 'files'), '--json', '--url', daemon.prefix])
  expect(again.code, again.stderr).toBe(0)
  const result = JSON.parse(again.stdout)
  expect(result).toMatchObject({ records: FILES, refused: [] })
  // The daemon may have committed a last request after its client was killed.
  expect(result.duplicates).toBeGreaterThanOrEqual(before)
  expect(result.appended + result.duplicates).toBe(FILES)
  expect(await records()).toEqual(contents)
})

it('append finishes an append whose daemon is killed and restarted, without duplicates', async () => {
  const contents = await makeFiles()
  const running = start([join(dir, 'files'), ...SLOWLY])
  const stdout = collect(running.stdout as NodeJS.ReadableStream)
  const stderr = collect(running.stderr as NodeJS.ReadableStream)
  for (let kills = 0; kills < 2; kills++) {
    await someAppended(running)
    const { port, root } = daemon
    await daemon.kill('SIGKILL')
    // Longer than the connection's own retries.
    if (kills === 0) await sleep(4_000)
    daemon = await startDaemon({ root, port })
  }
  if (running.exitCode === null) await once(running, 'close')
  expect(running.exitCode, stderr()).toBe(0)
  const result = JSON.parse(stdout())
  expect(result).toMatchObject({ records: FILES, refused: [] })
  expect(result.appended + result.duplicates).toBe(FILES)
  expect(await records()).toEqual(contents)
})

it('append finishes a killed append of lines without ids, in their order', async () => {
  const lines = Array.from({ length: FILES }, (_, i) => ({ payload: { n: i % 5 } }))
  const input = lines.map((line) => `${JSON.stringify(line)}\n`)
  const running = start(['-', ...SLOWLY], 'pipe')
  // The rest of the input never arrives, so the process cannot end by itself.
  running.stdin?.write(input.slice(0, 2 * SOME).join(''))
  await someAppended(running)
  running.kill('SIGKILL')
  await once(running, 'close')
  const whole = start(['-', '--in-order', '--json'], 'pipe')
  const stdout = collect(whole.stdout as NodeJS.ReadableStream)
  whole.stdin?.end(input.join(''))
  await once(whole, 'close')
  const result = JSON.parse(stdout())
  expect(result).toMatchObject({ records: FILES, refused: [] })
  expect(result.duplicates).toBeGreaterThanOrEqual(SOME)
  const found = [...(await records())]
  expect(found.map(([, content]) => content)).toEqual(lines.map(({ payload }) => JSON.stringify(payload)))
  expect(found.map(([id]) => Number(id.split('-')[0]))).toEqual(lines.map((_, i) => i + 1))
})
