import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import type { StorageCapability } from '@service-fs/storage/capability'
import { storageConformance } from '@service-fs/storage/conformance'
import { MAX_TAIL_BYTES } from '@service-fs/storage/object-name'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openPosixStorage } from './posix.ts'
import { bytesOf, temporaryDirectory } from './testing.ts'

storageConformance({
  name: 'POSIX files',
  tailMode: 'grow',
  test: { describe, it, expect },
  async open() {
    const dir = temporaryDirectory()
    const path = `${dir.path}/data/ledger`
    const storage = await openPosixStorage(path)
    let current = storage
    const reopen = async (): Promise<StorageCapability> => {
      await current.close()
      current = await openPosixStorage(path)
      return current
    }
    const dispose = async (): Promise<void> => {
      await current.close()
      dir.remove()
    }
    return { storage, reopen, dispose }
  },
})

let dir: ReturnType<typeof temporaryDirectory>
beforeEach(() => {
  dir = temporaryDirectory()
})
afterEach(() => dir.remove())

function corrupt(message: string): object {
  return { code: 'corrupt', message }
}

function content(i: number): Uint8Array {
  return new Uint8Array(20_000).fill(65 + (i % 26))
}

async function tailOf(storage: StorageCapability): Promise<[number, string][]> {
  const files: [number, string][] = []
  for await (const { start, bytes } of storage.tail()) files.push([start, Buffer.from(bytes).toString()])
  return files
}

describe('openPosixStorage', () => {
  it('writes the files of the ledger format, readable by their owner only', async () => {
    const storage = await openPosixStorage(`${dir.path}/a/b`)
    await storage.seal({ kind: 'bundle', index: 1000 }, bytesOf('tile'))
    await storage.beginTail(0, 1, bytesOf('tail'))
    await storage.commit(2, bytesOf('+'))
    await storage.publish(bytesOf('note'))
    const mode = (path: string): string => (statSync(`${dir.path}/a/${path}`).mode & 0o7777).toString(8)
    for (const made of ['', 'b', 'b/tmp', 'b/tail', 'b/tile', 'b/tile/entries', 'b/tile/entries/x001']) {
      expect(mode(made), made).toBe('700')
    }
    expect(mode('b/tile/entries/x001/000.b64')).toBe('444')
    expect(mode('b/tail/000000000000')).toBe('600')
    expect(mode('b/checkpoint')).toBe('600')
    expect(readFileSync(`${dir.path}/a/b/tail/000000000000`, 'latin1')).toBe('tail+')
    expect(readdirSync(`${dir.path}/a/b/tmp`)).toEqual([])
    expect(statSync(`${dir.path}/a/b/tile/entries/x001/000.b64`).nlink).toBe(1)
    await storage.close()
  })

  it('removes the files in tmp/, and no others', async () => {
    mkdirSync(`${dir.path}/tmp`)
    writeFileSync(`${dir.path}/tmp/1`, 'left')
    writeFileSync(`${dir.path}/notes`, 'mine')
    const storage = await openPosixStorage(dir.path)
    expect(readdirSync(dir.path).sort()).toEqual(['lock', 'notes', 'tmp'])
    expect(readdirSync(`${dir.path}/tmp`)).toEqual([])
    await storage.close()
  })

  it('leaves tmp/ alone while another process has the lock', async () => {
    const storage = await openPosixStorage(dir.path)
    writeFileSync(`${dir.path}/tmp/being-written`, 'x')
    await expect(openPosixStorage(dir.path)).rejects.toMatchObject({ code: 'locked' })
    expect(readdirSync(`${dir.path}/tmp`)).toEqual(['being-written'])
    await storage.close()
  })

  it('opens the audit sub-ledger without a lock', async () => {
    const storage = await openPosixStorage(dir.path)
    const audit = await openPosixStorage(`${dir.path}/audit`, { lock: false })
    await Promise.all([
      storage.seal({ kind: 'origin' }, bytesOf('a')),
      audit.seal({ kind: 'origin' }, bytesOf('b')),
    ])
    expect(readdirSync(`${dir.path}/audit`).sort()).toEqual(['origin', 'tmp'])
    await Promise.all([storage.close(), audit.close()])
  })

  it('follows a symbolic link to the ledger but none inside it', async () => {
    mkdirSync(`${dir.path}/real`)
    mkdirSync(`${dir.path}/elsewhere`)
    writeFileSync(`${dir.path}/elsewhere/000.b64`, 'x')
    symlinkSync('real', `${dir.path}/link`)
    const storage = await openPosixStorage(`${dir.path}/link`)
    mkdirSync(`${dir.path}/real/tile`)
    symlinkSync('../../elsewhere', `${dir.path}/real/tile/0`)
    symlinkSync('../elsewhere/000.b64', `${dir.path}/real/origin`)
    symlinkSync('../elsewhere', `${dir.path}/real/tail`)
    const foreign = { code: 'corrupt' }
    await expect(storage.read({ kind: 'origin' })).rejects.toMatchObject(corrupt('origin: ELOOP'))
    await expect(storage.seal({ kind: 'origin' }, bytesOf('x'))).rejects.toMatchObject(foreign)
    await expect(storage.read({ kind: 'tile', level: 0, index: 0 })).rejects.toMatchObject(foreign)
    await expect(storage.seal({ kind: 'tile', level: 0, index: 1 }, bytesOf('x'))).rejects.toMatchObject(
      foreign,
    )
    await expect(tailOf(storage)).rejects.toMatchObject(foreign)
    await expect(storage.beginTail(0, 1, bytesOf('x'))).rejects.toMatchObject(foreign)
    expect(readdirSync(`${dir.path}/elsewhere`)).toEqual(['000.b64'])
    await storage.seal({ kind: 'readme' }, bytesOf('still writes'))
    await storage.close()
  })

  it('rejects a file that is not regular or too large before it reads it', async () => {
    mkdirSync(`${dir.path}/keys/log.vkey`, { recursive: true })
    mkdirSync(`${dir.path}/tile/0`, { recursive: true })
    mkdirSync(`${dir.path}/tail`)
    writeFileSync(`${dir.path}/tile/0/000.b64`, '')
    truncateSync(`${dir.path}/tile/0/000.b64`, 2 ** 40)
    writeFileSync(`${dir.path}/tail/000000000000`, '')
    truncateSync(`${dir.path}/tail/000000000000`, MAX_TAIL_BYTES + 1)
    execFileSync('mkfifo', [`${dir.path}/origin`])
    const storage = await openPosixStorage(dir.path)
    await expect(storage.read({ kind: 'tile', level: 0, index: 0 })).rejects.toMatchObject(
      corrupt('tile/0/000.b64: expected at most 11520 bytes, found 1099511627776'),
    )
    await expect(storage.read({ kind: 'vkey', name: 'log' })).rejects.toMatchObject(
      corrupt('keys/log.vkey: not a regular file'),
    )
    await expect(storage.read({ kind: 'origin' })).rejects.toMatchObject(
      corrupt('origin: not a regular file'),
    )
    await expect(tailOf(storage)).rejects.toMatchObject(
      corrupt('tail/000000000000: expected at most 268435456 bytes, found 268435457'),
    )
    await storage.close()
  })

  it('names a foreign file in tail/', async () => {
    mkdirSync(`${dir.path}/tail`)
    writeFileSync(`${dir.path}/tail/000000000000.swp`, '')
    const storage = await openPosixStorage(dir.path)
    await expect(tailOf(storage)).rejects.toMatchObject({
      code: 'corrupt',
      message: 'tail/000000000000.swp: not the name of a tail file',
    })
    await storage.close()
  })

  it('does not append to a tail that another process wrote to', async () => {
    const storage = await openPosixStorage(dir.path)
    await storage.beginTail(0, 1, bytesOf('begin'))
    writeFileSync(`${dir.path}/tail/000000000000`, 'other', { flag: 'a' })
    await expect(storage.commit(2, bytesOf('+'))).rejects.toMatchObject({
      code: 'corrupt',
      message: 'tail/000000000000: expected 5 bytes, found 10',
    })
    await storage.close()
  })

  it('names no absolute path in errors', async () => {
    const storage = await openPosixStorage(dir.path)
    writeFileSync(`${dir.path}/tile`, 'no directory')
    const error: unknown = await storage.read({ kind: 'tile', level: 0, index: 0 }).catch((e: unknown) => e)
    expect(String(error)).not.toContain(dir.path)
    expect(error).toMatchObject({ code: 'corrupt' })
    await storage.close()
  })

  const isRoot = process.getuid?.() === 0
  it.skipIf(isRoot)(
    `reports missing permissions${isRoot ? ' (skipped: root may do everything)' : ''}`,
    async () => {
      const storage = await openPosixStorage(dir.path)
      chmodSync(dir.path, 0o500)
      await expect(storage.seal({ kind: 'tile', level: 0, index: 0 }, bytesOf('x'))).rejects.toMatchObject({
        code: 'io',
        message: 'tile: EACCES',
      })
      chmodSync(dir.path, 0o700)
      await storage.close()
    },
  )
})

describe('concurrent callers', () => {
  it('commits, seals, publishes and reads concurrently', async () => {
    const storage = await openPosixStorage(dir.path)
    await storage.beginTail(0, 1, bytesOf('begin'))
    const seals = Array.from({ length: 200 }, (_, i) =>
      storage.seal({ kind: 'bundle', index: 900 + i }, content(i)),
    )
    const commits = Array.from({ length: 100 }, (_, i) => storage.commit(2 + i, bytesOf(` ${i}`)))
    const publishes = Array.from({ length: 20 }, (_, i) => storage.publish(bytesOf(`checkpoint ${i}`)))
    const reads = Array.from({ length: 100 }, async (_, i) => {
      const read = await storage.read({ kind: 'bundle', index: 900 + i })
      if (read !== undefined) expect(Buffer.compare(read, content(i))).toBe(0)
    })
    await Promise.all([...seals, ...commits, ...publishes, ...reads])
    await storage.close()
    const again = await openPosixStorage(dir.path)
    for (let i = 0; i < 200; i++) {
      expect(
        Buffer.compare((await again.read({ kind: 'bundle', index: 900 + i })) ?? bytesOf(''), content(i)),
      ).toBe(0)
    }
    expect(await again.read({ kind: 'checkpoint' })).toEqual(bytesOf('checkpoint 19'))
    const expected = Array.from({ length: 100 }, (_, i) => ` ${i}`).join('')
    expect(await tailOf(again)).toEqual([[0, `begin${expected}`]])
    expect(readdirSync(`${dir.path}/tmp`)).toEqual([])
    await again.close()
  })

  it('seals one object for many callers', async () => {
    const storage = await openPosixStorage(dir.path)
    await Promise.all(
      Array.from({ length: 30 }, () => storage.seal({ kind: 'tile', level: 0, index: 0 }, bytesOf('same'))),
    )
    expect(readdirSync(`${dir.path}/tile/0`)).toEqual(['000.b64'])
    expect(readdirSync(`${dir.path}/tmp`)).toEqual([])
    await storage.close()
  })
})

it('the storage reports every sync of the tail, of files and of directories', async () => {
  const syncs: string[] = []
  const storage = await openPosixStorage(dir.path, {
    synced(what, milliseconds) {
      expect(milliseconds).toBeGreaterThan(0)
      syncs.push(what)
    },
  })
  await storage.beginTail(0, 1, bytesOf('begin'))
  syncs.length = 0
  await storage.commit(2, bytesOf('more'))
  expect(syncs).toEqual(['tail'])
  await storage.publish(bytesOf('checkpoint'))
  expect(syncs).toEqual(['tail', 'file', 'directory'])
  await storage.close()
})
