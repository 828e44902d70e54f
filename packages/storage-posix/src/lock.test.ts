import { once } from 'node:events'
import { existsSync, readFileSync, rmSync } from 'node:fs'
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

describe('lockDirectory', () => {
  let dir: ReturnType<typeof temporaryDirectory>
  beforeEach(() => {
    dir = temporaryDirectory()
  })
  afterEach(() => dir.remove())

  it('refuses a second process with the pid of the first, and is freed by SIGKILL', async () => {
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
    await storage.seal('origin', bytesOf('o'))
    await storage.close()
  })

  it('refuses the same process too, until it is released', async () => {
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

  it('locks the file that is there', async () => {
    const lock = await lockDirectory(dir.path)
    rmSync(`${dir.path}/lock`)
    const second = await lockDirectory(dir.path)
    expect(existsSync(`${dir.path}/lock`)).toBe(true)
    await lock.release()
    await expect(lockDirectory(dir.path)).rejects.toMatchObject({ code: 'locked' })
    await second.release()
  })

  it('says when flock is not installed', async () => {
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
