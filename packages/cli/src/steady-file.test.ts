// Reads files while other programs write to them, replace them or move them.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { mkdir, rename, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { walkFiles } from './files.ts'
import { readSteady } from './steady-file.ts'
import { cli } from './testing.ts'
import { remove, startServer, temporary, writeBelow } from '@service-fs/client/testing'

let base = ''

beforeEach(async () => {
  base = await temporary()
})
const cleanups: (() => void)[] = []

afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
  return remove(base)
})

const SIZE = 8 * 2 ** 20

/** Runs `work` while a program repeatedly overwrites a file from beginning to end, alternately with the letters A and B. */
async function whileWritten(path: string, work: () => Promise<void>): Promise<void> {
  await writeFile(path, Buffer.alloc(SIZE, 'A'))
  const program = `
    const { openSync, writeSync } = require('node:fs')
    const file = openSync(process.argv[1], 'r+')
    console.log('writes')
    for (const end = Date.now() + 30_000; Date.now() < end; )
      for (const letter of 'BA')
        for (let at = 0; at < ${SIZE}; at += 2 ** 18) writeSync(file, Buffer.alloc(2 ** 18, letter), 0, 2 ** 18, at)`
  const child = spawn(process.execPath, ['-e', program, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    await once(child.stdout, 'data')
    await work()
  } finally {
    child.kill('SIGKILL')
  }
}

it('a read never returns a mixture of two states of a file that is being written', async () => {
  const path = join(base, 'busy')
  await whileWritten(path, async () => {
    for (let i = 0; i < 3; i++) {
      const bytes = await readSteady(path, SIZE).catch((error: Error) => error)
      if (bytes instanceof Error)
        expect(bytes.message).toMatch(/^another program changed it during each of 4 reads/)
      // Each state of the file has the new letter up to some byte, and the previous letter after that byte.
      else expect(bytes.filter((byte, at) => at > 0 && byte !== bytes[at - 1]).length).toBeLessThan(2)
    }
  })
})

it('a file that was just written can be read, and so can a file that reports no size', async () => {
  const path = join(base, 'new')
  await writeFile(path, 'fresh')
  expect(String(await readSteady(path, 5))).toBe('fresh')
  await utimes(path, 4e9, 4e9)
  expect(String(await readSteady(path, 5))).toBe('fresh')
  if (process.platform === 'linux')
    expect(String(await readSteady('/proc/version', 9_999))).toContain('Linux')
  await writeFile(path, '')
  expect((await readSteady(path, 5)).length).toBe(0)
})

it('a file that is too large, a link and a FIFO are refused without blocking', async () => {
  const path = join(base, 'file')
  await writeFile(path, 'sixsix')
  await expect(readSteady(path, 5)).rejects.toThrow('expected at most 5 bytes, found more')
  await symlink(path, join(base, 'link'))
  await expect(readSteady(join(base, 'link'), 9)).rejects.toMatchObject({ code: 'ELOOP' })
  execFileSync('mkfifo', [join(base, 'fifo')])
  await expect(readSteady(join(base, 'fifo'), 9)).rejects.toThrow('expected a regular file')
  await expect(readSteady(base, 9)).rejects.toThrow('expected a regular file')
})

it.skipIf(process.platform !== 'linux')(
  'the walk stays in a directory that is replaced by a link',
  async () => {
    for (const name of ['a', 'b', 'c']) {
      await writeBelow(base, `tree/dir/${name}`, 'inside')
      await writeBelow(base, `elsewhere/${name}`, 'secret')
    }
    const read: string[] = []
    for await (const file of walkFiles(join(base, 'tree'), { refused: () => undefined })) {
      if (read.length === 0) {
        await rename(join(base, 'tree/dir'), join(base, 'moved'))
        await symlink(join(base, 'elsewhere'), join(base, 'tree/dir'))
      }
      read.push(`${file.id} ${String(await file.read(99))}`)
    }
    expect(read).toEqual(['tree/dir/a inside', 'tree/dir/b inside', 'tree/dir/c inside'])
  },
)

it('append appends all files except one that is being written, reports that file, and exits with status 3', async () => {
  const kept: string[] = []
  const server = await startServer((request, response, body) => {
    if (request.method !== 'GET') {
      // Keep the identifier of the first record in a framed batch.
      kept.push(body.toString('utf8', 8, 8 + body.readUInt16BE(0)))
      response.writeHead(409, { 'content-type': 'application/problem+json' })
    }
    response.end('{"code":"conflict","detail":"refused by the test"}')
  })
  try {
    await mkdir(join(base, 'tree'))
    await writeFile(join(base, 'tree/still'), 'x')
    await writeFile(join(base, 'tree/busy'), '1000000')
    let count = 1e6
    const busy = setInterval(() => writeFileSync(join(base, 'tree/busy'), String(count++), { flag: 'r+' }), 1)
    cleanups.push(() => clearInterval(busy))
    const { code, errors } = await cli('append', join(base, 'tree'), '--url', server.url)
    expect(code).toBe(3)
    expect(errors.find((line) => line.includes('tree/busy'))).toMatch(/changed it during each of 4 reads/)
    expect(new Set(kept)).toEqual(new Set(['tree/still']))
  } finally {
    await server.close()
  }
})

it('the error for an unreadable file states the reason, without the path that was opened', async () => {
  const refused: string[] = []
  const options = { refused: (path: string, reason: string): void => void refused.push(`${path} ${reason}`) }
  for await (const _ of walkFiles(join(base, 'none'), options)) expect.unreachable()
  expect(refused).toEqual([`${join(base, 'none')} ENOENT: no such file or directory`])
})
