// Tests of `repair` for files whose attributes keep even root from replacing them, and for a ledger on its own file system.
import { chownSync, lstatSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { makeLedger, testRecords } from '@service-fs/client/testing'
import { localFlags } from '@service-fs/storage-posix/flags'
import { isImmutable } from '@service-fs/storage-posix/probe'
import { mountTest } from '@service-fs/storage-posix/testing-image'
import { afterAll, describe, expect, it } from 'vitest'
import { at, done, useDirectory } from '../testing-copies.ts'

useDirectory()

describe.each(['ext4', 'tmpfs'] as const)('repair of a ledger on %s', (type) => {
  const mount = mountTest(type)
  const place = typeof mount === 'string' ? '' : mount.path
  afterAll(() => (typeof mount === 'string' ? undefined : mount.unmount()))

  it.skipIf(place === '')(
    `replaces immutable files, and keeps the damaged ones beside it or elsewhere${typeof mount === 'string' ? mount : ''}`,
    async (context) => {
      const local = await localFlags(place)
      if ('reason' in local) {
        context.skip(local.reason)
        return
      }
      const { flags } = local
      const dir = join(place, 'acme')
      await makeLedger(dir, { records: testRecords(600) })
      await cp(dir, at('mirror'), { recursive: true })
      const paths = ['tile/entries/000.b64', 'tile/0/001.b64']
      const protect = async (): Promise<void> => {
        for (const path of paths) await flags.sealed(join(dir, path))
        for (const folder of ['tile', 'tile/0', 'tile/entries']) await flags.appendOnly(join(dir, folder))
      }
      for (const path of paths) writeFileSync(join(dir, path), 'damaged\n')
      await protect()
      await done('repair', dir, '--from', at('mirror'))
      for (const path of paths) {
        expect(readFileSync(join(dir, path))).toEqual(readFileSync(at('mirror', path)))
        expect(isImmutable(join(dir, path))).toBe(true)
        expect(readFileSync(join(`${dir}.damaged`, path), 'utf8')).toBe('damaged\n')
      }
      expect(() => unlinkSync(join(dir, 'tile/entries/001.b64'))).toThrow('EPERM')
      await done('verify', dir)
    },
  )

  it.skipIf(place === '')(
    'copies a damaged file to another file system, and gives the new file to the ledger’s owner',
    async () => {
      const dir = join(place, 'owned')
      await makeLedger(dir, { records: testRecords(300) })
      await cp(dir, at('mirror'), { recursive: true })
      writeFileSync(join(dir, 'tile/0/000.b64'), 'damaged\n')
      chownSync(dir, 4242, 4243)
      await done('repair', dir, '--from', at('mirror'), '--damaged', at('kept'))
      expect(readFileSync(at('kept/tile/0/000.b64'), 'utf8')).toBe('damaged\n')
      const { uid, gid } = lstatSync(join(dir, 'tile/0/000.b64'))
      expect([uid, gid]).toEqual([4242, 4243])
      await done('verify', dir)
    },
  )
})
