// Exports that continue an existing export.
import { chmod, cp, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { filesBelow, makeLedger, serveDirectory, testRecords, testSigner } from '@service-fs/client/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { cli } from '../testing.ts'
import { at, done, grownTo, makeAcme, useDirectory } from '../testing-copies.ts'

useDirectory()

/** Returns the inode and the modification time of each file. */
async function statsOf(dir: string): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const path of Object.keys(await filesBelow(dir))) {
    const { ino, mtimeMs } = await stat(`${dir}/${path}`)
    found.set(path, `${ino} ${mtimeMs}`)
  }
  return found
}

describe('a continued export', () => {
  it('a continued export is identical to a new export at each size, and rewrites no full tile', async () => {
    await done('export', await grownTo(1, 1), '--out', at('out'))
    for (const [size, audit] of [
      [256, 2],
      [257, 256],
      [768, 700],
    ] as const) {
      const acme = await grownTo(size, audit)
      const before = await statsOf(at('out'))
      const io = await done('export', acme, '--out', at('out'), '--json')
      await done('export', acme, '--out', at(`whole-${size}`))
      expect(await filesBelow(at('out')), String(size)).toEqual(await filesBelow(at(`whole-${size}`)))
      const after = await statsOf(at('out'))
      for (const [path, stats] of before)
        if (after.has(path) && !path.endsWith('checkpoint') && !path.includes('.p/'))
          expect(after.get(path), path).toBe(stats)
      expect(JSON.parse(io.text())).toMatchObject({
        size,
        pinned: false,
        audit: { size: audit },
        out: at('out'),
      })
      await done('verify', at('out'))
    }
  })

  it('an export over HTTP reads only new tiles, and only the checkpoint when the source has not grown', async () => {
    await done('export', await grownTo(1100, 30), '--out', at('out'))
    const server = await serveDirectory(await grownTo(1500, 30))
    try {
      await done('export', server.url, '--no-audit', '--out', at('out'))
      expect(server.asked.filter((path) => path.includes('entries')).sort()).toEqual([
        '/tile/entries/004',
        '/tile/entries/005.p/220',
      ])
      server.asked.length = 0
      const io = await done('export', server.url, '--no-audit', '--out', at('out'), '--json')
      expect(server.asked).toEqual(['/checkpoint'])
      expect(JSON.parse(io.text())).toMatchObject({ from: 1500, size: 1500, bundles: 0, tiles: 0, bytes: 0 })
      await done('export', at('acme-1500-30'), '--no-audit', '--out', at('whole'))
      const main = Object.entries(await filesBelow(at('out'))).filter(([path]) => !path.startsWith('audit/'))
      expect(Object.fromEntries(main)).toEqual(await filesBelow(at('whole')))
    } finally {
      await server.close()
    }
  })

  it('an export replaces the partial tiles of another size that an interrupted run left', async () => {
    const acme = await grownTo(600, 30)
    await done('export', acme, '--out', at('out'))
    await mkdir(at('out/tile/entries/003.p'), { recursive: true })
    await writeFile(at('out/tile/entries/003.p/7.b64'), 'left over\n')
    await mkdir(at('out/tmp'))
    await writeFile(at('out/tmp/1'), 'left over\n')
    const bigger = await grownTo(900, 31)
    await done('export', bigger, '--out', at('out'))
    await done('export', bigger, '--out', at('whole'))
    expect(await filesBelow(at('out'))).toEqual(await filesBelow(at('whole')))
  })
})

describe('an export that cannot be continued', () => {
  let before: Record<string, string>
  let acme = ''
  beforeEach(async () => {
    acme = await grownTo(600, 30)
    await done('export', acme, '--out', at('out'))
    before = await filesBelow(at('out'))
  })

  /** Expects that an export from `source` into `out` fails, and that it changes no file. */
  async function refused(source: string, code: number, message: RegExp, ...options: string[]): Promise<void> {
    const io = await cli('export', source, '--out', at('out'), ...options)
    expect(io.errors.join()).toMatch(message)
    expect(io.code).toBe(code)
    expect(await filesBelow(at('out'))).toEqual(before)
  }

  it('an export does not change when the source rolled back or forked', async () => {
    await refused(await grownTo(400, 31), 1, /size 600 .*; the source rolled back to size 400/)
    const other = testRecords(900).map((content, i) => (i < 590 ? content : { ...content, id: `other/${i}` }))
    await makeAcme({ records: other })
    await refused(at('acme'), 1, /the source forked: its tree of size 900 does not contain that tree/)
    await makeLedger(at('same'), { records: other.slice(0, 600) })
    await refused(at('same'), 1, /the source forked: its root hash at that size is/)
  })

  it('an export does not change when the source is another ledger, or another key signed it', async () => {
    await makeLedger(at('other'), { records: testRecords(900), origin: 'example.org/ledger/other' })
    await refused(at('other'), 1, /checkpoint: /)
    const { vkey } = testSigner('example.org/ledger/test', 8)
    await refused(await grownTo(900, 30), 1, /checkpoint: /, '--vkey', vkey)
  })

  it('an export does not change when it is damaged where the new tiles would continue it', async () => {
    const bigger = await grownTo(900, 30)
    const path = at('out/tile/0/002.p/88.b64')
    await chmod(path, 0o600)
    const text = await readFile(path, 'utf8')
    await writeFile(path, text.replace(/^.{44}/, 'A'.repeat(43) + '='))
    before = await filesBelow(at('out'))
    await refused(bigger, 1, /expected root hash .* of the signed checkpoint, found/)
  })

  it('an export keeps its checkpoint when a tile of the source does not verify', async () => {
    const bigger = await grownTo(1300, 30)
    const path = `${bigger}/tile/entries/004.b64`
    const lines = (await readFile(path, 'utf8')).split('\n')
    ;[lines[0], lines[1]] = [lines[1] ?? '', lines[0] ?? '']
    await writeFile(path, lines.join('\n'))
    const io = await cli('export', bigger, '--out', at('out'))
    expect([io.code, io.errors.join()]).toEqual([
      1,
      expect.stringMatching(/tile\/entries\/004.b64: entry 1024: expected leaf hash .*, found/),
    ])
    const after = await filesBelow(at('out'))
    expect(after).toMatchObject(before)
    expect(Object.keys(after)).not.toContain('tile/entries/004.b64')
    await done('export', await grownTo(1301, 31), '--out', at('out'))
    await done('verify', at('out'))
  })

  it('an export is not continued in the directory of a mirror or a ledger', async () => {
    const bigger = await grownTo(900, 30)
    await cp(acme, at('ledger'), { recursive: true })
    const io = await cli('export', bigger, '--out', at('ledger'))
    expect([io.code, io.errors]).toEqual([
      3,
      [`service-fs: ${at('ledger')}: expected an export, without a tail, found a mirror, with a tail`],
    ])
    expect(await filesBelow(at('ledger'))).toEqual(await filesBelow(acme))
  })
})
