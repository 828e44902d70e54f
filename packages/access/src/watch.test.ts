import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { AccessSettings } from './settings.ts'
import { watchAccess, type AccessWatch } from './watch.ts'
import { newToken } from './tokens.ts'

let dir: string
let file: string
let watch: AccessWatch | undefined
const seen: (readonly string[])[] = []
const reported: string[] = []
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'watch-'))
  file = join(dir, 'tokens.json')
  seen.length = 0
  reported.length = 0
})
afterEach(async () => {
  watch?.close()
  await rm(dir, { recursive: true, force: true })
})

async function write(path: string, ...names: string[]): Promise<void> {
  const tokens = names.map((name) => {
    const { id, sha256 } = newToken()
    return { id, name, sha256, tenant: 'acme', roles: ['read'], created: '2026-01-01T00:00:00Z' }
  })
  await replace(path, JSON.stringify({ tokens }))
}

/** Replaces a file atomically. During a write in place, the file is empty for a moment, which the watch might report. */
async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 })
  await rename(`${path}.new`, path)
}

function start(lookMs = 10): AccessWatch {
  watch = watchAccess(
    { access: { tokens: 'tokens.json' }, base: dir },
    {
      onChange: ({ tokens = [] }: AccessSettings) => void seen.push(tokens.map(({ name }) => name)),
      report: (error) => void reported.push(String(error)),
      lookMs,
    },
  )
  return watch
}

it('the watch reports the initial settings, and each change once', async () => {
  await write(file, 'a')
  start()
  await expect.poll(() => seen).toEqual([['a']])
  await write(file, 'a', 'b')
  await expect.poll(() => seen.at(-1)).toEqual(['a', 'b'])
  await new Promise((resolve) => void setTimeout(resolve, 100))
  expect(seen).toHaveLength(2)
})

it('the watch follows links, and detects a change of any link', async () => {
  for (const name of ['v1', 'v2']) {
    await mkdir(join(dir, name))
    await write(join(dir, name, 'tokens.json'), name)
  }
  await symlink('v1', join(dir, 'current'))
  await symlink('current/tokens.json', file)
  start()
  await expect.poll(() => seen).toEqual([['v1']])
  await symlink('v2', join(dir, 'next'))
  await rename(join(dir, 'next'), join(dir, 'current'))
  await expect.poll(() => seen.at(-1)).toEqual(['v2'])
})

it('the watch reports a malformed or missing file once, and keeps the settings until the file is valid again', async () => {
  await write(file, 'a')
  start()
  await expect.poll(() => seen).toHaveLength(1)
  await replace(file, '{')
  await expect.poll(() => reported).toHaveLength(1)
  await rm(file)
  await expect.poll(() => reported).toHaveLength(2)
  await new Promise((resolve) => void setTimeout(resolve, 100))
  expect([seen.length, reported.length]).toEqual([1, 2])
  expect(reported[0]).toContain('tokens.json: expected JSON')
  await write(file, 'b')
  await expect.poll(() => seen.at(-1)).toEqual(['b'])
})

it('the watch reloads at once on request', async () => {
  await write(file, 'a')
  const one = start(3_600_000)
  await one.reload()
  expect(seen).toEqual([['a']])
  await write(file, 'b')
  await one.reload()
  expect(seen.at(-1)).toEqual(['b'])
})

it('the watch tries refused settings again on request', async () => {
  await write(file, 'a')
  let refuse = true
  watch = watchAccess(
    { access: { tokens: 'tokens.json' }, base: dir },
    {
      onChange() {
        if (refuse) throw new Error('not now')
        seen.push([])
      },
      report: (error) => void reported.push(String(error)),
    },
  )
  await expect.poll(() => reported).toEqual(['Error: not now'])
  refuse = false
  await watch.reload()
  expect(seen).toHaveLength(1)
})
