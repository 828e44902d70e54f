import { describe, expect, it } from 'vitest'
import { MemoryStorage } from './memory.ts'

describe('MemoryStorage', () => {
  it('copies bytes, and dumps them by path', async () => {
    const storage = new MemoryStorage()
    const bytes = new Uint8Array([1, 2])
    await storage.seal({ kind: 'origin' }, bytes)
    bytes[0] = 9
    expect(await storage.read({ kind: 'origin' })).toEqual(new Uint8Array([1, 2]))
    await storage.beginTail(0, 1, new Uint8Array([3]))
    await storage.commit(2, new Uint8Array([4]))
    expect([...storage.dump()]).toEqual([
      ['origin', new Uint8Array([1, 2])],
      ['tail/000000000000', new Uint8Array([3, 4])],
    ])
  })
})
