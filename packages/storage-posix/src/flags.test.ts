// Checks what file attributes prevent, even for root: on ext4 in an image, and on tmpfs.
import { execFileSync, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { StorageCapability } from '@service-fs/storage/capability'
import { storageConformance } from '@service-fs/storage/conformance'
import { bundlePath } from '@service-fs/storage/object-name'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { type FileFlags, localFlags } from './flags.ts'
import { openPosixStorage } from './posix.ts'
import { isImmutable, onlyGrows } from './probe.ts'
import { survey } from './survey.ts'
import { mountTest } from './testing-image.ts'
import { bytesOf } from './testing.ts'

async function flagsOf(dir: string): Promise<FileFlags> {
  const local = await localFlags(dir)
  if ('reason' in local) throw new Error(local.reason)
  return local.flags
}

/** Returns the errno of a failed call, or `done`. */
function outcome(call: () => void): string {
  try {
    call()
    return 'done'
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}

async function tailOf(storage: StorageCapability): Promise<[number, string][]> {
  const files: [number, string][] = []
  for await (const { start, bytes } of storage.tail()) files.push([start, Buffer.from(bytes).toString()])
  return files
}

describe.each(['ext4', 'tmpfs'] as const)('file attributes on %s', (type) => {
  const mount = mountTest(type)
  const here = typeof mount !== 'string' && hasAttributes(mount.path)
  const why = typeof mount === 'string' ? mount : here ? '' : ` (skipped: this kernel's ${type} has none)`
  const path = typeof mount === 'string' ? '' : mount.path
  afterAll(() => (typeof mount === 'string' ? undefined : mount.unmount()))

  if (here)
    storageConformance({
      name: `a ledger whose files have attributes, on ${type},`,
      tailMode: 'grow',
      keepsTail: true,
      test: { describe, it, expect },
      async open() {
        const dir = mkdtempSync(join(path, 'conforms-'))
        const open = async (): Promise<StorageCapability> =>
          openPosixStorage(dir, { flags: await flagsOf(path) })
        const storage = await open()
        let current = storage
        const reopen = async (): Promise<StorageCapability> => {
          await current.close()
          current = await open()
          return current
        }
        return { storage, reopen, dispose: () => current.close() }
      },
    })

  describe.skipIf(!here)(`keep a ledger${why}`, () => {
    let count = 0
    let dir: string
    let flags: FileFlags
    const open = (): Promise<StorageCapability> => openPosixStorage(dir, { flags })
    beforeEach(async () => {
      dir = join(path, `ledger-${count++}`)
      flags = await flagsOf(path)
    })

    it('let root only read a sealed file', async () => {
      const storage = await open()
      await storage.seal({ kind: 'bundle', index: 0 }, bytesOf('sealed'))
      await storage.close()
      const file = join(dir, bundlePath(0))
      const other = join(dir, 'other')
      writeFileSync(other, 'x')
      const refused: Record<string, () => void> = {
        rm: () => unlinkSync(file),
        truncate: () => truncateSync(file, 0),
        write: () => writeFileSync(file, 'x'),
        append: () => appendFileSync(file, 'x'),
        rename: () => renameSync(file, `${file}.old`),
        'rename over it': () => renameSync(other, file),
        link: () => linkSync(file, join(dir, 'another-name')),
        chmod: () => chmodSync(file, 0o666),
        chown: () => chownSync(file, 1, 1),
        utimes: () => utimesSync(file, 0, 0),
      }
      for (const [name, call] of Object.entries(refused)) expect(outcome(call), name).toBe('EPERM')
      for (const [command, ...args] of [
        ['rm', '-f', file],
        ['cp', '--remove-destination', other, file],
        ['mv', '-f', other, file],
        ['chmod', '777', file],
        ['dd', 'if=/dev/zero', `of=${file}`, 'bs=1', 'count=1', 'conv=notrunc'],
        ['truncate', '-s', '0', file],
        ['sh', '-c', `echo x >> ${file}`],
      ])
        expect(spawnSync(command ?? '', args).status, command).not.toBe(0)
      expect(readFileSync(file, 'latin1')).toBe('sealed')
      expect((statSync(file).mode & 0o7777).toString(8)).toBe('444')
      expect(isImmutable(file)).toBe(true)
      expect(isImmutable(other)).toBe(false)
    })

    it('keep the directories of sealed files in place, but allow new files in them', async () => {
      const storage = await open()
      await storage.seal({ kind: 'bundle', index: 1234 }, bytesOf('sealed'))
      await storage.seal({ kind: 'vkey', name: 'log' }, bytesOf('key'))
      for (const inside of ['tile', 'tile/entries', 'tile/entries/x001', 'keys']) {
        expect(
          outcome(() => renameSync(join(dir, inside), join(dir, 'elsewhere'))),
          inside,
        ).toBe('EPERM')
        expect(
          outcome(() => chmodSync(join(dir, inside), 0o777)),
          inside,
        ).toBe('EPERM')
        expect(spawnSync('rm', ['-rf', join(dir, inside)]).status, inside).not.toBe(0)
      }
      await storage.seal({ kind: 'bundle', index: 1235 }, bytesOf('more'))
      await storage.seal({ kind: 'tile', level: 0, index: 0 }, bytesOf('hashes'))
      expect(readdirSync(join(dir, 'tile/entries/x001'))).toEqual(['234.b64', '235.b64'])
      await storage.close()
    })

    it('let the tail only grow', async () => {
      const storage = await open()
      await storage.beginTail(0, 1, bytesOf('begin'))
      await storage.commit(2, bytesOf('+1'))
      const file = join(dir, 'tail/000000000000')
      const refused: Record<string, () => void> = {
        'open for writing': () => closeSync(openSync(file, 'r+')),
        truncate: () => truncateSync(file, 0),
        overwrite: () => writeFileSync(file, 'x'),
        rm: () => unlinkSync(file),
        rename: () => renameSync(file, `${file}.old`),
        chmod: () => chmodSync(file, 0o666),
        link: () => linkSync(file, join(dir, 'another-name')),
      }
      for (const [name, call] of Object.entries(refused)) expect(outcome(call), name).toBe('EPERM')
      await storage.commit(3, bytesOf('+2'))
      expect(readFileSync(file, 'latin1')).toBe('begin+1+2')
      expect(await onlyGrows(file)).toBe(true)
      await storage.close()
    })

    it('reject a commit after another process has appended', async () => {
      const storage = await open()
      await storage.beginTail(0, 1, bytesOf('begin'))
      await storage.commit(2, bytesOf('+1'))
      appendFileSync(join(dir, 'tail/000000000000'), 'theirs')
      await expect(storage.commit(3, bytesOf('+2'))).rejects.toMatchObject({
        code: 'corrupt',
        message: 'tail/000000000000: expected 7 bytes, found 13',
      })
      await storage.close()
    })

    it('let an older tail file be removed when all its entries are sealed', async () => {
      const storage = await open()
      await storage.beginTail(0, 300, bytesOf('first'))
      await expect(storage.beginTail(0, 300, bytesOf('again'))).rejects.toMatchObject({ code: 'conflict' })
      await storage.seal({ kind: 'bundle', index: 0 }, bytesOf('bundle'))
      await storage.beginTail(256, 300, bytesOf('second'))
      await storage.close()
      expect(readdirSync(join(dir, 'tail'))).toEqual(['000000000256'])
      const again = await open()
      expect(await tailOf(again)).toEqual([[256, 'second']])
      await again.commit(301, bytesOf('+'))
      await again.close()
      expect(await onlyGrows(join(dir, 'tail/000000000256'))).toBe(true)
    })

    it('are set on files where a killed process had not set them', async () => {
      const plain = await openPosixStorage(dir)
      await plain.seal({ kind: 'origin' }, bytesOf('o'))
      await plain.seal({ kind: 'bundle', index: 0 }, bytesOf('b'))
      await plain.beginTail(0, 1, bytesOf('begin'))
      await plain.close()
      expect(await survey(dir)).toMatchObject({ sealed: 2, immutable: 0, tails: 1, growing: 0 })
      const storage = await open()
      await storage.seal({ kind: 'bundle', index: 0 }, bytesOf('b'))
      await tailOf(storage)
      await storage.commit(2, bytesOf('+'))
      expect(await survey(dir)).toMatchObject({
        sealed: 2,
        immutable: 1,
        mutablePaths: ['origin'],
        tails: 1,
        growing: 1,
      })
      await survey(dir, { flags })
      expect(await survey(dir)).toMatchObject({
        sealed: 2,
        immutable: 2,
        mutablePaths: [],
        writable: 0,
        growing: 1,
      })
      await storage.close()
    })

    it('are tolerated by a process that cannot set them', async () => {
      const storage = await open()
      await storage.beginTail(0, 300, bytesOf('first'))
      await storage.seal({ kind: 'bundle', index: 0 }, bytesOf('b'))
      await storage.close()
      const plain = await openPosixStorage(dir)
      expect(plain.keepsTail).toBe(true)
      expect(await tailOf(plain)).toEqual([[0, 'first']])
      await plain.commit(301, bytesOf('+'))
      await plain.beginTail(256, 302, bytesOf('second'))
      await plain.close()
      expect(readdirSync(join(dir, 'tail'))).toEqual(['000000000000', '000000000256'])
    })

    it('are not set on a file that is open for writing or has two names', async () => {
      mkdirSync(dir)
      const file = join(dir, 'file')
      writeFileSync(file, 'x')
      const fd = openSync(file, 'r+')
      await expect(flags.sealed(file)).rejects.toMatchObject({ code: 'io' })
      await expect(flags.appendOnly(file)).rejects.toMatchObject({ code: 'io' })
      writeSync(fd, 'y')
      closeSync(fd)
      linkSync(file, `${file}2`)
      await expect(flags.sealed(file)).rejects.toMatchObject({ code: 'corrupt' })
      rmSync(`${file}2`)
      execFileSync('ln', ['-s', 'file', join(dir, 'link')])
      await expect(flags.sealed(join(dir, 'link'))).rejects.toMatchObject({ code: 'ELOOP' })
      await flags.sealed(file)
      await flags.sealed(file)
      expect(isImmutable(file)).toBe(true)
    })

    it('are cleared by chattr -R -i -a, after which rm removes the directory', async () => {
      const storage = await open()
      await storage.seal({ kind: 'bundle', index: 0 }, bytesOf('b'))
      await storage.beginTail(0, 300, bytesOf('first'))
      await storage.close()
      expect(spawnSync('rm', ['-rf', dir]).status).not.toBe(0)
      execFileSync('chattr', ['-R', '-i', '-a', dir])
      execFileSync('rm', ['-rf', dir])
    })
  })
})

describe('a file system without attributes', () => {
  const mount = mountTest('ramfs')
  afterAll(() => (typeof mount === 'string' ? undefined : mount.unmount()))

  it.skipIf(typeof mount === 'string')(`is reported${typeof mount === 'string' ? mount : ''}`, async () => {
    const path = typeof mount === 'string' ? '' : mount.path
    expect(await localFlags(path)).toEqual({ reason: 'the file system has no file attributes' })
    const storage = await openPosixStorage(join(path, 'ledger'))
    await storage.seal({ kind: 'origin' }, bytesOf('o'))
    await storage.beginTail(0, 1, bytesOf('begin'))
    expect(await survey(join(path, 'ledger'))).toMatchObject({
      sealed: 1,
      immutable: 0,
      tails: 1,
      growing: 0,
    })
    await storage.close()
  })
})

function hasAttributes(path: string): boolean {
  const file = join(path, 'try')
  writeFileSync(file, '')
  const has = spawnSync('chattr', ['+i', file]).status === 0
  if (has) execFileSync('chattr', ['-i', file])
  rmSync(file)
  return has
}
