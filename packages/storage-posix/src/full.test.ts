import { execFileSync } from 'node:child_process'
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPosixStorage } from './posix.ts'
import { bytesOf, temporaryDirectory } from './testing.ts'

const dir = temporaryDirectory()

function mountTiny(): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', dir.path], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Mount now, so that the suite's name can say whether it runs. */
const mounted = process.platform === 'linux' && process.getuid?.() === 0 && mountTiny()
if (!mounted) dir.remove()

describe.skipIf(!mounted)(`a full file system${mounted ? '' : ' (skipped: no tmpfs may be mounted)'}`, () => {
  const ledger = `${dir.path}/ledger`
  beforeAll(() => writeFileSync(`${dir.path}/ballast`, ''))
  afterAll(() => {
    execFileSync('umount', [dir.path])
    dir.remove()
  })

  it('rejects a seal on a full disk, leaves no file behind, and seals when there is space again', async () => {
    const storage = await openPosixStorage(ledger)
    await storage.beginTail(0, 1, bytesOf('begin'))
    writeFileSync(`${dir.path}/ballast`, new Uint8Array(200_000))
    const bundle = new Uint8Array(100_000)
    await expect(storage.seal({ kind: 'bundle', index: 0 }, bundle)).rejects.toMatchObject({
      code: 'full',
      message: /^tmp\/\d+: ENOSPC$/,
    })
    expect(await storage.read({ kind: 'bundle', index: 0 })).toBe(undefined)
    expect(readdirSync(`${ledger}/tmp`)).toEqual([])
    await storage.commit(2, bytesOf('+'))
    rmSync(`${dir.path}/ballast`)
    await storage.seal({ kind: 'bundle', index: 0 }, bundle)
    expect((await storage.read({ kind: 'bundle', index: 0 }))?.length).toBe(100_000)
    await storage.close()
    rmSync(ledger, { recursive: true })
  })

  it('stops writing when a commit does not fit, and still reads', async () => {
    const storage = await openPosixStorage(ledger)
    await storage.seal({ kind: 'origin' }, bytesOf('origin'))
    await storage.beginTail(0, 1, bytesOf('begin'))
    await expect(storage.commit(2, new Uint8Array(400_000))).rejects.toMatchObject({
      code: 'full',
      message: 'tail/000000000000: ENOSPC',
    })
    for (const verb of [
      storage.commit(2, bytesOf('+')),
      storage.publish(bytesOf('c')),
      storage.seal({ kind: 'readme' }, bytesOf('r')),
    ]) {
      await expect(verb).rejects.toMatchObject({
        code: 'io',
        message: 'writing stopped after an error: tail/000000000000: ENOSPC',
      })
    }
    expect(await storage.read({ kind: 'origin' })).toEqual(bytesOf('origin'))
    await storage.close()
    rmSync(`${ledger}/tail/000000000000`)
    const again = await openPosixStorage(ledger)
    await again.seal({ kind: 'readme' }, bytesOf('r'))
    await again.close()
  })
})
