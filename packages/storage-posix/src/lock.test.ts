import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { lockDirectory } from './lock.ts'
import { openPosixStorage } from './posix.ts'
import { bundleScript, bytesOf, startNode, temporaryDirectory } from './testing.ts'

const HOLDER = `
  import { openPosixStorage } from './posix.ts'
  await openPosixStorage(process.argv[2])
  console.log('open')
  setInterval(() => undefined, 1000)
`

/** Whether the system reports the holder of a lock. */
const TELLS_HOLDER = process.platform === 'linux'

function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text)
  renameSync(`${path}.new`, path)
}

describe('lockDirectory', () => {
  let dir: ReturnType<typeof temporaryDirectory>
  beforeEach(() => {
    dir = temporaryDirectory()
  })
  afterEach(() => dir.remove())

  it('rejects a second process, names the pid of the first, and is released by SIGKILL', async () => {
    const script = bundleScript(dir.path, HOLDER)
    const ledger = `${dir.path}/ledger`
    const { child, firstLine } = startNode(script, [ledger])
    expect(await firstLine).toBe('open')
    const refused = { code: 'locked', message: `lock: process ${child.pid} writes to this ledger` }
    await expect(openPosixStorage(ledger)).rejects.toMatchObject(refused)
    await expect(openPosixStorage(ledger)).rejects.toMatchObject(refused)
    child.kill('SIGKILL')
    await once(child, 'exit')
    const storage = await openPosixStorage(ledger)
    await storage.seal({ kind: 'origin' }, bytesOf('o'))
    await storage.close()
  })

  it('rejects a second lock by the same process until the first is released', async () => {
    const lock = await lockDirectory(dir.path)
    expect(readFileSync(`${dir.path}/lock`, 'latin1')).toBe(`${process.pid}\n`)
    await expect(lockDirectory(dir.path)).rejects.toMatchObject({
      code: 'locked',
      message: `lock: process ${process.pid} writes to this ledger`,
    })
    await lock.release()
    await (await lockDirectory(dir.path)).release()
  })

  it('is not inherited by a child process', async () => {
    const lock = await lockDirectory(dir.path)
    const script = bundleScript(dir.path, `console.log('up'); setInterval(() => undefined, 1000)`)
    const { child, firstLine } = startNode(script, [])
    expect(await firstLine).toBe('up')
    await lock.release()
    await (await lockDirectory(dir.path)).release()
    child.kill('SIGKILL')
    await once(child, 'exit')
  })

  it.each([
    ['is removed', (lock: string) => rmSync(lock)],
    ['is renamed', (lock: string) => renameSync(lock, `${lock}.old`)],
    ['is replaced by an empty file', (lock: string) => replace(lock, '')],
    ['is replaced by a file that names another process', (lock: string) => replace(lock, '1\n')],
  ])('keeps a second process out when the file `lock` %s', async (_, change) => {
    const script = bundleScript(dir.path, HOLDER)
    const ledger = `${dir.path}/ledger`
    const { child, firstLine } = startNode(script, [ledger])
    try {
      expect(await firstLine).toBe('open')
      change(`${ledger}/lock`)
      await expect(openPosixStorage(ledger)).rejects.toMatchObject({
        code: 'locked',
        ...(TELLS_HOLDER ? { message: `lock: process ${child.pid} writes to this ledger` } : {}),
      })
    } finally {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    await (await openPosixStorage(ledger)).close()
  })

  it('excludes a version that locks only the file `lock`', async () => {
    const lock = await lockDirectory(dir.path)
    expect(spawnSync('flock', ['-n', `${dir.path}/lock`, 'true']).status).toBe(1)
    await lock.release()
    expect(spawnSync('flock', ['-n', `${dir.path}/lock`, 'true']).status).toBe(0)
  })

  it('is rejected while a version that locks only the file `lock` runs, and then leaves the directory unlocked', async () => {
    writeFileSync(`${dir.path}/lock`, '')
    const holder = spawn('flock', [`${dir.path}/lock`, 'sh', '-c', 'echo held; exec sleep 60'], {
      detached: true,
    })
    await once(holder.stdout, 'data')
    await expect(lockDirectory(dir.path)).rejects.toMatchObject({ code: 'locked' })
    process.kill(-(holder.pid ?? 0), 'SIGKILL')
    await once(holder, 'exit')
    await (await lockDirectory(dir.path)).release()
  })

  it('can be taken without writing', async () => {
    const lock = await lockDirectory(dir.path, { write: false })
    expect(readdirSync(dir.path)).toEqual([])
    await expect(lockDirectory(dir.path)).rejects.toMatchObject({ code: 'locked' })
    await expect(lockDirectory(dir.path, { write: false })).rejects.toMatchObject({ code: 'locked' })
    await lock.release()
    writeFileSync(`${dir.path}/lock`, '4711\n')
    const second = await lockDirectory(dir.path, { write: false })
    expect(readFileSync(`${dir.path}/lock`, 'latin1')).toBe('4711\n')
    expect(spawnSync('flock', ['-n', `${dir.path}/lock`, 'true']).status).toBe(1)
    await second.release()
  })

  it('reports when flock is not installed', async () => {
    const path = process.env['PATH']
    process.env['PATH'] = dir.path
    try {
      await expect(lockDirectory(dir.path)).rejects.toMatchObject({
        code: 'io',
        message: 'lock: the command flock (of util-linux) is not installed',
      })
    } finally {
      process.env['PATH'] = path
    }
  })
})
