// The directory of a killed daemon's ledger is archived with tar, served by the storage server, and unpacked again.
import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { verifyDirectory } from '@service-fs/client/verify-directory'
import type { Ledger } from '@service-fs/ledger/ledger'
import { openTestLedger, testSigner, textRecord } from '@service-fs/ledger/testing'
import { missing } from '@service-fs/engine-host/psdb/testing'
import { openPsdbProcess } from '@service-fs/engine-host/psdb/process'
import type { StorageCapability } from '@service-fs/storage/capability'
import { openPsdbStorage } from '@service-fs/storage-psdb/storage'
import { openPosixStorage } from '@service-fs/storage-posix/posix'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

/** The way in which a run ends. */
type End = 'clean' | 'killed'

async function checkAll(ledger: Ledger): Promise<void> {
  for (let index = 0; index < ledger.size; index++) expect((await ledger.record(index)).id).toBe(`r${index}`)
}

/** Checks all records, appends commits of these sizes, and stops in the given way. Returns the size. */
async function life(storage: StorageCapability, commits: readonly number[], end: End): Promise<number> {
  const ledger = await openTestLedger({ storage })
  await checkAll(ledger)
  for (const count of commits)
    await ledger.append(
      Array.from({ length: count }, (_, i) => textRecord(`r${ledger.size + i}`, 'some text')),
    )
  if (end === 'clean') await ledger.close()
  else await storage.close()
  return ledger.size
}

let work: string
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), 'service-fs-takeover-'))
})
afterEach(() => rmSync(work, { recursive: true, force: true }))

/** A run in the directory `<work>/<name>/acme`. */
async function inDirectory(name: string, commits: readonly number[], end: End): Promise<number> {
  return life(await openPosixStorage(join(work, name, 'acme')), commits, end)
}

/** A run on the disk image `<work>/<name>`. */
async function onDisk(name: string, commits: readonly number[], end: End): Promise<number> {
  const disk = join(work, name)
  const host = await openPsdbProcess({ disk, size: 64 * 1024 * 1024, tenants: ['acme'] })
  const storage = openPsdbStorage(host.client('acme'), 'main')
  const size = await life(storage, commits, end)
  if (end === 'clean') await host.close()
  else host.kill()
  await host.exited
  return size
}

function archive(from: string, to: string): void {
  execFileSync('tar', ['-cf', join(work, to), '-C', join(work, from), 'acme'])
}

function unpack(from: string, to: string): void {
  mkdirSync(join(work, to))
  execFileSync('tar', ['-xf', join(work, from), '-C', join(work, to)])
}

/** The beginning of a commit after the newest one, as a power cut leaves it. */
function tear(name: string): void {
  const tail = join(work, name, 'acme/tail')
  appendFileSync(join(tail, readdirSync(tail).sort().at(-1) ?? ''), `${'QUJD\n'.repeat(30)}\0`)
}

async function verify(name: string, size: number): Promise<void> {
  const report = await verifyDirectory(join(work, name, 'acme'), { vkeys: [testSigner().vkey] })
  expect(report.problems).toEqual([])
  expect(report).toMatchObject({ ok: true, size, pinned: true })
}

describe.skipIf(missing !== '')(`the ledger of a killed daemon${missing}`, () => {
  it('is opened by the storage server with its torn tail, and moved back', async () => {
    expect(await inDirectory('a', [100, 400, 120], 'killed')).toBe(620)
    tear('a')
    await verify('a', 620)
    archive('a', 'b.img')
    expect(await onDisk('b.img', [1, 30, 300], 'killed')).toBe(951)
    expect(await onDisk('b.img', [5], 'clean')).toBe(956)
    unpack('b.img', 'c')
    await verify('c', 956)
    expect(await inDirectory('c', [1], 'killed')).toBe(957)
    tear('c')
    await verify('c', 957)
    expect(await inDirectory('c', [2], 'killed')).toBe(959)
    expect(await inDirectory('c', [300], 'clean')).toBe(1259)
    await verify('c', 1259)
    archive('c', 'd.img')
    expect(await onDisk('d.img', [1], 'clean')).toBe(1260)
    unpack('d.img', 'e')
    await verify('e', 1260)
  })

  it.each([0, 255, 256, 257, 512])(
    'is opened by the storage server at %i entries, after a stop or a kill',
    async (size) => {
      for (const end of ['clean', 'killed'] as const) {
        const name = `${end}-${size}`
        expect(await inDirectory(name, size === 0 ? [] : [size], end)).toBe(size)
        archive(name, `${name}.img`)
        expect(await onDisk(`${name}.img`, [1, 1], end)).toBe(size + 2)
        unpack(`${name}.img`, `${name}-back`)
        await verify(`${name}-back`, size + 2)
        expect(await inDirectory(`${name}-back`, [1], 'clean')).toBe(size + 3)
        await verify(`${name}-back`, size + 3)
      }
    },
  )
})
