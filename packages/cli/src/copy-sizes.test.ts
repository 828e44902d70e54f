// Exports and restored ledgers at many sizes.
import { readFile, readdir } from 'node:fs/promises'
import type { RecordContent } from '@service-fs/format/entry'
import { makeLedger, remove, runTar, serveDirectory, testRecords } from '@service-fs/client/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { at, dir, done, exported, makeAcme, useDirectory } from './testing-copies.ts'

useDirectory()

const large: RecordContent = {
  id: 'large',
  type: 'application/octet-stream',
  time: '2026-11-21T00:00:00.000Z',
  payload: Buffer.alloc(150_000, 'abc'),
}

describe('an export', () => {
  it('an export is identical from every source, at every size around a bundle', async () => {
    for (const size of [0, 1, 255, 256, 257, 511, 512, 600]) {
      for (const tail of ['grow', 'each', 'export'] as const) {
        const acme = await makeAcme({ records: testRecords(size), tail, commit: 40 }, 700 - size)
        await runTar(dir, '-cf', 'acme.tar', './acme')
        const server = await serveDirectory(acme)
        const first = await exported(acme, 'first')
        expect(await exported(at('acme.tar'), 'of-tar'), `size ${size}, tail ${tail}`).toEqual(first)
        expect(await exported(server.url, 'of-url'), `size ${size}, tail ${tail}`).toEqual(first)
        expect(await exported(at('first'), 'of-export'), `size ${size}, tail ${tail}`).toEqual(first)
        for (const source of ['acme', 'acme.tar', 'first'])
          await done('export', at(source), '--out', at(`${source}-out.tar`))
        await done('export', server.url, '--out', at('url-out.tar'))
        const tar = await readFile(at('acme-out.tar'))
        for (const name of ['acme.tar-out.tar', 'first-out.tar', 'url-out.tar'])
          expect((await readFile(at(name))).equals(tar), `${name}, size ${size}`).toBe(true)
        await server.close()
        await done('verify', at('first'))
        await done('verify', at('acme-out.tar'))
        for (const name of await readdir(dir)) await remove(at(name))
      }
    }
  })

  it('an export is identical at sizes around a full tile of level 1', async () => {
    for (const size of [65_535, 65_536, 65_537]) {
      const acme = at('acme')
      await makeLedger(acme, { records: testRecords(size), commit: 300 })
      const first = await exported(acme, 'first')
      const server = await serveDirectory(acme)
      expect(await exported(server.url, 'of-url')).toEqual(first)
      await server.close()
      expect('tile/1/000.b64' in first).toBe(size >= 65_536)
      expect('tile/2/000.p/1.b64' in first).toBe(size >= 65_536)
      await done('restore', at('first'), '--out', at('back'))
      await done('verify', at('back'))
      expect(await exported(at('back'), 'again')).toEqual(first)
      for (const name of await readdir(dir)) await remove(at(name))
    }
  })

  it('the report counts the entries of every commit of any size', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 700 }),
        fc.integer({ min: 1, max: 300 }),
        async (size, commit) => {
          const records = size < 3 ? testRecords(size) : [large, ...testRecords(size - 3)]
          const grow = await makeAcme({ records, commit }, commit)
          const first = await exported(grow, 'first')
          await remove(grow)
          const each = await makeAcme({ records, commit: 1 + (commit % 77), tail: 'each' }, commit)
          expect(await exported(each, 'second')).toEqual(first)
          for (const [name, out] of [
            ['first', 'dir'],
            ['second', 'acme.img'],
          ] as const) {
            await done('restore', at(name), '--out', at(out), '--module-id', 'acme')
            expect(await exported(at(out), `again-${name}`)).toEqual(first)
          }
          for (const name of await readdir(dir)) await remove(at(name))
        },
      ),
      { numRuns: 12 },
    )
  })
})
