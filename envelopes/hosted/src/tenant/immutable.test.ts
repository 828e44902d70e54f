import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mountTest } from '@service-fs/storage-posix/testing-image'
import { expect, it } from 'vitest'
import { flagsSetter } from './immutable.ts'

it('a daemon sets no attributes by default', async () => {
  expect(await flagsSetter('off', '/nowhere', false)).toEqual({
    by: 'nobody',
    reason: 'not requested (--immutable)',
  })
})

const mount = mountTest('ramfs')
const why = typeof mount === 'string' ? mount : ''

it.skipIf(why !== '')(
  `a daemon sets no attributes on a file system without them, and fails if they are required${why}`,
  async () => {
    if (typeof mount === 'string') return
    const dir = join(mount.path, 'not/there/yet')
    const reason = 'the file system has no file attributes'
    expect(await flagsSetter('auto', dir, false)).toEqual({ by: 'nobody', reason })
    await expect(flagsSetter('required', dir, false)).rejects.toMatchObject({
      code: 'immutable',
      message: `--immutable required: ${reason}`,
    })
    mount.unmount()
  },
)

const isRoot = process.getuid?.() === 0
it.skipIf(isRoot)(
  `a daemon sets no attributes without privileges${isRoot ? ' (skipped: root)' : ''}`,
  async () => {
    const dir = await mkdtemp(join(tmpdir(), 'immutable-'))
    expect(await flagsSetter('auto', dir, false)).toMatchObject({ by: 'nobody' })
    await rm(dir, { recursive: true })
  },
)
