import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const bin = fileURLToPath(new URL('../bin/service-fs.js', import.meta.url))
const isBuilt = existsSync(new URL('../dist/main.js', import.meta.url))

let root: string
const children: ChildProcess[] = []
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'command-'))
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await rm(root, { recursive: true, force: true })
})

function serve(args: string[], env: Record<string, string> = {}): { child: ChildProcess; err: () => string } {
  const child = spawn(process.execPath, [bin, 'serve', ...args], { env: { ...process.env, ...env } })
  children.push(child)
  let err = ''
  child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()))
  return { child, err: () => err }
}

async function ended(child: ChildProcess): Promise<unknown> {
  const [status]: unknown[] = await once(child, 'close')
  return status
}

async function output(child: ChildProcess): Promise<string> {
  const [chunk]: unknown[] = await once(child.stdout ?? child, 'data')
  return String(chunk)
}

describe.skipIf(!isBuilt)('service-fs serve', () => {
  it('prints its address as JSON, and exits with 0 after SIGTERM', async () => {
    const { child, err } = serve(['--json', '--listen', '127.0.0.1:0'], {
      FS_MODULE_ID: 'acme',
      FS_LEDGER_ROOT: root,
    })
    const greeting = JSON.parse(await output(child)) as { url: string; vkey: string }
    expect(greeting).toMatchObject({
      module_id: 'acme',
      origin: 'service-fs.local/ledger/acme',
      dir: join(root, 'acme'),
    })
    const got = await fetch(`${greeting.url}t/acme/v1/contract`)
    expect(await got.json()).toMatchObject({ module_id: 'acme', vkeys: [greeting.vkey] })
    child.kill('SIGTERM')
    expect(await ended(child)).toBe(0)
    const log = err().trimEnd().split('\n')
    expect(log.map((line) => (JSON.parse(line) as { message: string }).message)).toEqual([
      // This line depends on whether the machine's clock is synchronized.
      expect.stringMatching(/^trusting the clock at the start/),
      'listening',
      'stopping',
      'stopped',
    ])
  })

  it('prints commands to try, and exits with 0 after SIGINT', async () => {
    const path = join(root, 's.sock')
    const { child } = serve(['--module-id', 'acme', '--root', root, '--listen', `unix:${path}`])
    const text = await output(child)
    expect(text.match(/^ {2}curl --unix-socket/gm)).toHaveLength(3)
    child.kill('SIGINT')
    expect(await ended(child)).toBe(0)
    expect(existsSync(path)).toBe(false)
  })

  it.each([
    [['--module-id', 'acme', '--listen', '0.0.0.0:0'], 'no credentials'],
    [['--module-id', 'Acme'], '--module-id'],
    [[], '--module-id'],
  ])('exits with 2 for the wrong usage %j', async (args, reason) => {
    const { child, err } = serve([...args, '--root', root])
    expect(await ended(child)).toBe(2)
    expect(err()).toContain(reason)
  })

  it('exits with 3 when another daemon has the ledger open', async () => {
    const first = serve(['--json', '--module-id', 'acme', '--root', root, '--listen', '127.0.0.1:0'])
    await output(first.child)
    const second = serve(['--module-id', 'acme', '--root', root, '--listen', '127.0.0.1:0'])
    expect(await ended(second.child)).toBe(3)
    expect(second.err()).toContain(String(first.child.pid))
    first.child.kill('SIGTERM')
    expect(await ended(first.child)).toBe(0)
  })
})
