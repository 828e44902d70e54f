import { describe, expect, it } from 'vitest'
import type { TailFile } from './capability.ts'
import { CheckedStorage } from './checked.ts'
import { StorageError, systemError } from './errors.ts'
import { MemoryStorage } from './memory.ts'
import { bundlePath, MAX_TAIL_BYTES } from './object-name.ts'

const x = new Uint8Array([120])

async function all(files: AsyncIterable<TailFile>): Promise<number[]> {
  const starts: number[] = []
  for await (const { start } of files) starts.push(start)
  return starts
}

describe('CheckedStorage', () => {
  it('the error names a foreign file in tail/', async () => {
    for (const name of ['512', '000000000512~', '.000000000000.swp', '0000000000512']) {
      const storage = new MemoryStorage({ files: [[`tail/${name}`, x]] })
      const error = { code: 'corrupt', message: `tail/${name}: not the name of a tail file` }
      await expect(all(storage.tail())).rejects.toMatchObject(error)
      await expect(storage.beginTail(0, 1, x)).rejects.toMatchObject(error)
    }
  })

  it('rejects a tail whose earlier entries are not sealed', async () => {
    const files: [string, Uint8Array][] = [['tail/000000000512', x]]
    const error = { code: 'corrupt', message: 'tail/000000000512: not every entry before it is sealed' }
    await expect(all(new MemoryStorage({ files }).tail())).rejects.toMatchObject(error)
    files.push([bundlePath(1), x])
    expect(await all(new MemoryStorage({ files }).tail())).toEqual([512])
  })

  it('a tail opens with the tail files of the other mode', async () => {
    const files: [string, Uint8Array][] = [0, 200, 300, 600].map((start) => [
      `tail/000000000${`${start}`.padStart(3, '0')}`,
      x,
    ])
    const grow = new MemoryStorage({ files: [...files, [bundlePath(0), x], [bundlePath(1), x]] })
    expect(await all(grow.tail())).toEqual([300, 600])
    await grow.commit(601, x)
    expect(grow.dump().get('tail/000000000600')).toEqual(new Uint8Array([120, 120]))
    await expect(grow.beginTail(601, 602, x)).rejects.toMatchObject({ code: 'unsealed' })
    await grow.beginTail(600, 602, x)
    expect(await all(grow.tail())).toEqual([300, 600])
    expect(grow.dump().get('tail/000000000600')).toEqual(x)
    await grow.seal({ kind: 'bundle', index: 2 }, x)
    await grow.beginTail(768, 800, x)
    expect([...grow.dump().keys()].filter((path) => path.startsWith('tail/'))).toEqual(['tail/000000000768'])
    const each = new MemoryStorage({ tailMode: 'each', files: grow.dump() })
    await each.beginTail(800, 801, x)
    expect(await all(each.tail())).toEqual([768, 800])
  })

  it('does not infer earlier bundles from a sealed one', async () => {
    const tails = ['000000000000', '000000000300', '000000000512'].map((name): [string, Uint8Array] => [
      `tail/${name}`,
      x,
    ])
    for (const tailMode of ['grow', 'each'] as const) {
      const startsWith = (...bundles: number[]): Promise<number[]> => {
        const sealed = bundles.map((bundle): [string, Uint8Array] => [bundlePath(bundle), x])
        return all(new MemoryStorage({ files: [...tails, ...sealed], tailMode }).tail())
      }
      expect(await startsWith(1)).toEqual([0, 300, 512])
      expect(await startsWith(0)).toEqual([0, 300, 512])
      expect(await startsWith(0, 1)).toEqual([512])
    }
  })

  it('rejects a commit that would make the tail too long, before it writes', async () => {
    const written: number[] = []
    const storage = new CheckedStorage({
      tailMode: 'grow',
      read: async () => undefined,
      has: async () => true,
      seal: async () => undefined,
      tailStarts: async () => [],
      readTail: async () => x,
      append: async (_start, length) => void written.push(length),
      beginTail: async () => undefined,
      publish: async () => undefined,
      close: async () => undefined,
    })
    const half = new Uint8Array(MAX_TAIL_BYTES / 2)
    await storage.beginTail(0, 1, x)
    await storage.commit(2, half)
    await expect(storage.commit(3, half)).rejects.toMatchObject({ code: 'full' })
    await storage.commit(3, half.subarray(1))
    expect(written).toEqual([1, 1 + half.length])
  })
})

describe('systemError', () => {
  it('error messages do not contain absolute paths', () => {
    const cause = Object.assign(new Error("EIO: i/o error, open '/srv/acme/origin'"), { code: 'EIO' })
    const error = systemError('origin', cause)
    expect([error.code, error.message, error.cause]).toEqual(['io', 'origin: EIO', cause])
  })

  it('errors distinguish a full disk and foreign files from other failures', () => {
    const codes = ['ENOSPC', 'EDQUOT', 'ELOOP', 'ENOTDIR', 'EIO', undefined].map(
      (code) => systemError('x', { code }).code,
    )
    expect(codes).toEqual(['full', 'full', 'corrupt', 'corrupt', 'io', 'io'])
    const own = new StorageError('conflict', 'x')
    expect(systemError('y', own)).toBe(own)
  })
})
