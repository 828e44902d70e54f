import { spawnSync } from 'node:child_process'
import { mkdir, readFile, stat, symlink, truncate, writeFile, appendFile, link } from 'node:fs/promises'
import { join } from 'node:path'
import { pack, type Header } from 'tar-stream'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ClientError } from './errors.ts'
import { openTar } from './tar-archive.ts'
import { makeLedger, remove, runTar, temporary, testRecords, writeBelow } from './testing.ts'
import { verifyFiles } from './verify-directory.ts'
import { withLedgerFiles } from './verify-place.ts'

let dir = ''
let file = ''

beforeEach(async () => {
  dir = await temporary()
  file = join(dir, 'x.tar')
})
afterEach(() => remove(dir))

type Member = [header: Partial<Header> & Pick<Header, 'name'>, content?: string]

/** Returns an archive that tar-stream writes. */
async function tarOf(...members: Member[]): Promise<Buffer> {
  const writer = pack()
  for (const [header, content] of members) {
    if (content === undefined) writer.entry(header)
    else writer.entry(header, content)
  }
  writer.finalize()
  const chunks: Uint8Array[] = []
  for await (const chunk of writer as AsyncIterable<Uint8Array>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Returns the bytes of a file in an archive. */
async function readFrom(path: string, folder = ''): Promise<string | undefined> {
  const archive = await openTar(file)
  try {
    return (await archive.below(folder).read(path))?.toString()
  } finally {
    await archive.close()
  }
}

/** Returns a header block with changed fields and the right checksum. */
function edited(block: Buffer, change: (block: Buffer) => void): Buffer {
  const header = Buffer.from(block)
  change(header)
  header.fill(0x20, 148, 156)
  const sum = header.reduce((all, byte) => all + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return header
}

const has = (program: string): boolean => spawnSync(program, ['--help']).error === undefined

const refused = async (bytes: Uint8Array, why: string | RegExp): Promise<void> => {
  await writeFile(file, bytes)
  const error: unknown = await openTar(file).catch((caught: unknown) => caught)
  expect(error).toBeInstanceOf(ClientError)
  expect(error).toMatchObject({ code: 'malformed', message: expect.stringMatching(why) })
  expect((error as Error).message).toContain(`${file}: byte `)
}

describe('an archive', () => {
  const programs: [string, string[]][] = [
    ['GNU tar', ['tar', '-cf', 'x.tar', 'acme']],
    ['GNU tar with ./', ['tar', '-cf', 'x.tar', './acme']],
    ['GNU tar as pax', ['tar', '--format=posix', '-cf', 'x.tar', 'acme']],
    ['GNU tar as ustar', ['tar', '--format=ustar', '-cf', 'x.tar', 'acme']],
    ['GNU tar, of the directory itself', ['tar', '-C', 'acme', '-cf', 'x.tar', '.']],
    ['GNU tar, deeper', ['tar', '-cf', 'x.tar', '--transform=s,^,srv/ledgers/,', 'acme']],
    ['bsdtar', ['bsdtar', '-cf', 'x.tar', 'acme']],
    ['bsdtar as pax', ['bsdtar', '--format=pax', '-cf', 'x.tar', 'acme']],
    ['busybox', ['busybox', 'tar', '-cf', 'x.tar', 'acme']],
  ]
  for (const [name, [program = '', ...args]] of programs) {
    it.skipIf(!has(program))(`of ${name} is read like the directory`, async () => {
      await makeLedger(join(dir, 'acme'), { records: testRecords(300) })
      await runTar(dir, ...(program === 'tar' ? args : [program, ...args]))
      const report = await withLedgerFiles(file, 'acme', (files) => verifyFiles(files))
      expect(report.problems).toEqual([])
      expect(report).toMatchObject({ ok: true, size: 300 })
    })
  }

  it('an archive may have long names of GNU tar and of pax', async () => {
    const name = `${'long/'.repeat(30)}origin`
    await writeBelow(dir, name, 'here')
    for (const format of ['gnu', 'posix', 'ustar']) {
      await runTar(dir, `--format=${format}`, '-cf', 'x.tar', 'long')
      expect(await readFrom('origin', 'long/'.repeat(30).slice(0, -1))).toBe('here')
    }
  })

  it('the last of several members with one name counts, and the archive ends at two blocks of zeros', async () => {
    const first = await tarOf([{ name: 'a/checkpoint' }, 'old'], [{ name: './a/checkpoint' }, 'new'])
    const later = await tarOf([{ name: 'a/checkpoint' }, 'behind the end'])
    await writeFile(file, Buffer.concat([first, later, Buffer.from('and what a power cut left')]))
    expect(await readFrom('checkpoint', 'a')).toBe('new')
    await truncate(file, first.length + 100_000_000)
    expect(await readFrom('checkpoint', 'a')).toBe('new')
  })

  it('an archive may have members that are not part of the ledger', async () => {
    await makeLedger(join(dir, 'acme'), { records: testRecords(3) })
    await writeBelow(dir, 'other/origin-of-nothing', 'x')
    await symlink('/etc/passwd', join(dir, 'other/link'))
    await link(join(dir, 'other/origin-of-nothing'), join(dir, 'other/hard'))
    spawnSync('mkfifo', [join(dir, 'other/pipe')])
    await writeBelow(dir, 'acme/lock', '1')
    await symlink('nowhere', join(dir, 'acme/lock2')).catch(() => undefined)
    await runTar(dir, '-cf', 'x.tar', '--exclude=lock2', 'other', 'acme')
    expect(await withLedgerFiles(file, undefined, (files) => verifyFiles(files))).toMatchObject({ ok: true })
  })

  it('a name is required when an archive has several ledgers', async () => {
    for (const name of ['acme', 'acme2']) await makeLedger(join(dir, name), { records: testRecords(3) })
    await makeLedger(join(dir, 'acme/audit'), { records: [], origin: 'example.org/ledger/test/audit' })
    await runTar(dir, '-cf', 'x.tar', 'acme', 'acme2')
    const verify = (id?: string) => withLedgerFiles(file, id, (files) => verifyFiles(files))
    expect(await verify('acme2')).toMatchObject({ ok: true, place: `${file}:acme2` })
    await expect(verify()).rejects.toThrow('found the ledgers acme, acme2')
    await expect(verify('other')).rejects.toMatchObject({ code: 'usage' })
    await writeFile(file, await tarOf([{ name: 'a' }, 'x']))
    await expect(verify()).rejects.toThrow('expected a ledger')
  })
})

describe('an invalid or hostile archive is refused:', () => {
  it('other bytes', async () => {
    await refused(Buffer.alloc(512), 'byte 512: expected a member or the two blocks')
    await refused(Buffer.alloc(5000, 'ustar'.padEnd(257, 'x')), 'checksum')
    await expect(openTar(join(dir, 'none'))).rejects.toMatchObject({ code: 'file' })
    const header = (await tarOf([{ name: 'a' }, 'x'])).subarray(0, 512)
    const v7 = edited(header, (block) => block.fill(0, 257, 265))
    await refused(Buffer.concat([v7, Buffer.alloc(1536)]), 'which has "ustar" at byte 257')
    const later = Buffer.concat([header, Buffer.alloc(512), v7, Buffer.alloc(1024)])
    await refused(later, 'byte 1024: expected the magic')
  })

  it.each(['../a', 'a/../b', '/a', 'a//b', 'a/./b', '', '/', './/../a'])('the name %j', async (name) => {
    const tar = await tarOf([{ name: 'x' }, 'y'], [{ name: 'n' }, 'y'])
    const at = 1024
    const block = edited(tar.subarray(at, at + 512), (header) => {
      header.fill(0, 0, 100)
      header.write(name)
    })
    block.copy(tar, at)
    await refused(tar, 'byte 1024: expected a path below the archive')
  })

  it('a truncated archive, at every block', async () => {
    const tar = await tarOf([{ name: 'a' }, 'x'.repeat(2000)], [{ name: 'b' }, 'y'])
    for (let length = 512; length < tar.length; length += 512)
      await refused(tar.subarray(0, length), /expected (?:\d+ bytes of "[ab]"|a member or)/)
    await refused(tar.subarray(0, -1), 'expected a member or')
  })

  it('a file of another kind, which is named in the error', async () => {
    await makeLedger(join(dir, 'acme'), { records: testRecords(3) })
    await runTar(dir, '-cf', 'x.tar', 'acme')
    const expected = 'expected a tar archive or a disk image, found '
    for (const [program, name] of [
      ['gzip', 'gzip'],
      ['xz', 'xz'],
      ['bzip2', 'bzip2'],
      ['zstd', 'zstd'],
    ] as const) {
      const packed = spawnSync(program, ['-c', file], { maxBuffer: 1e9 })
      if (packed.error !== undefined) continue
      await writeFile(join(dir, 'it is.tar.z'), packed.stdout)
      await expect(openTar(join(dir, 'it is.tar.z'))).rejects.toThrow(
        `${expected}a file compressed with ${name}: unpack it first, for instance ${program} -dc '${dir}/it is.tar.z' > ledger.tar`,
      )
    }
    await refused(Buffer.alloc(0), `${expected}an empty file`)
    await refused(Buffer.from('PK\u0003\u0004 and more'), `${expected}a zip archive`)
    await refused(Buffer.from('hello'), 'which has "ustar" at byte 257, found a file of 5 bytes')
    await refused(Buffer.alloc(5000, 'x'), 'which has "ustar" at byte 257, found "xxxxx"')
    spawnSync('mkfifo', [join(dir, 'pipe')])
    await expect(openTar(join(dir, 'pipe'))).rejects.toThrow('found something else')
  })

  it('a single block of zeros', async () => {
    const tar = await tarOf([{ name: 'a' }, 'x'])
    const lone = Buffer.concat([
      tar.subarray(0, 1024),
      Buffer.alloc(512),
      tar.subarray(0, 1024),
      Buffer.alloc(1024),
    ])
    await refused(lone, 'byte 1536: expected a second block of zeros')
  })

  it('impossible sizes', async () => {
    const tar = await tarOf([{ name: 'a' }, 'x'])
    const sized = (change: (block: Buffer) => void): Buffer =>
      Buffer.concat([edited(tar.subarray(0, 512), change), tar.subarray(512)])
    await refused(
      sized((block) => block.write('77777777777 ', 124)),
      'expected 8589934591 bytes of "a", found',
    )
    await refused(
      sized((block) => block.write('-1         ', 124)),
      'octal',
    )
    await refused(
      sized((block) => block.fill(0xff, 124, 136)),
      'octal',
    )
    await refused(
      sized((block) => {
        block.fill(0x7f, 124, 136)
        block[124] = 0x80
      }),
      'octal',
    )
    await refused(await tarOf([{ name: 'a', pax: { size: '999999999' } }, 'x']), 'expected 999999999 bytes')
    await refused(await tarOf([{ name: 'a', pax: { size: '-5' } }, 'x']), 'expected a size in decimal')
  })

  it('a file in place of a folder, and a folder in place of a file', async () => {
    await refused(
      await tarOf([{ name: 'a' }, 'x'], [{ name: 'a/b' }, 'x']),
      'expected nothing below the file "a"',
    )
    await refused(await tarOf([{ name: 'a/b' }, 'x'], [{ name: 'a' }, 'x']), 'expected a folder')
  })

  it('a malformed pax header', async () => {
    const tar = await tarOf([{ name: 'a', pax: { comment: 'x' } }, 'x'])
    for (const text of ['5 a=b\n', '6 ab=\n', 'x', '99 a=b\n', '7 a=b']) {
      const changed = Buffer.from(tar)
      changed.fill(0, 512, 1024)
      changed.write(text, 512)
      await refused(changed, 'expected the records of a pax header')
    }
  })

  it('links, devices and sparse files in place of a file', async () => {
    const types: Member[] = [
      [{ name: 'l/origin', type: 'symlink', linkname: '/etc/passwd' }],
      [{ name: 'l/origin', type: 'link', linkname: '../../etc/passwd' }],
      [{ name: 'l/origin', type: 'character-device', devmajor: 1, devminor: 3 }],
      [{ name: 'l/origin', type: 'fifo' }],
    ]
    for (const [member] of types) {
      await writeFile(file, await tarOf([{ name: 'l/origin' }, 'good'], [member]))
      await expect(readFrom('origin', 'l')).rejects.toThrow('origin: expected a regular file, found a')
    }
    await truncate(join(dir, 'x.tar'), 0)
    await mkdir(join(dir, 'l'))
    await truncate(await made(join(dir, 'l/origin')), 10_000_000)
    await appendFile(join(dir, 'l/origin'), 'x')
    for (const args of [['--format=gnu'], ['--format=posix']]) {
      await runTar(dir, ...args, '-Scf', 'x.tar', 'l')
      expect((await stat(file)).size).toBeLessThan(100_000)
      const archive = await openTar(file)
      const found = await Promise.all(
        archive.ledgers.map((folder) => archive.below(folder).read('origin')),
      ).catch((error: unknown) => error)
      await archive.close()
      // In pax, a sparse file has another name in the header, so the ledger's file may seem to be missing.
      expect(String(found)).toMatch(/sparse|^$/)
    }
  })

  it('a file larger than the format allows', async () => {
    await writeFile(
      file,
      await tarOf([{ name: 'tile/0/000.b64' }, 'x'.repeat(11_521)], [{ name: 'origin' }, 'x\n']),
    )
    await expect(readFrom('tile/0/000.b64')).rejects.toThrow('expected at most 11520 bytes, found 11521')
  })

  it('changed bytes, unless they make a different archive', async () => {
    await makeLedger(join(dir, 'acme'), { records: testRecords(3) })
    await runTar(dir, '--format=posix', '-cf', 'x.tar', 'acme')
    const honest = await readFile(file)
    const change = fc.tuple(fc.nat(honest.length - 1), fc.integer({ min: 1, max: 255 }))
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const bytes = Buffer.from(honest)
        for (const [at, mask] of changes) bytes[at] = (bytes[at] ?? 0) ^ mask
        await writeFile(file, bytes)
        const report = await withLedgerFiles(file, undefined, (files) => verifyFiles(files)).catch(
          (error: unknown) => error,
        )
        if (report instanceof Error) expect(report).toBeInstanceOf(ClientError)
        else expect(report).toHaveProperty('ok')
      }),
      { numRuns: 300 },
    )
  })
})

async function made(path: string): Promise<string> {
  await writeFile(path, '')
  return path
}
