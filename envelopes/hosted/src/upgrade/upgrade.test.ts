import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { filesBelow, makeLedger, testRecords, TEST_ORIGIN } from '@service-fs/client/testing'
import { verifyDirectory } from '@service-fs/client/verify-directory'
import { readmeText } from '@service-fs/format/readme'
import { VERIFY_SH } from '@service-fs/format/verify-shell'
import { lockDirectory } from '@service-fs/storage-posix/lock'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { upgradeLedger } from './files.ts'

let dir = ''

/** Makes a ledger as a version before verify.sh did. */
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'service-fs-upgrade-'))
  await makeLedger(dir, { records: testRecords(20) })
  await makeLedger(join(dir, 'audit'), { records: testRecords(3), origin: `${TEST_ORIGIN}/audit` })
  for (const folder of ['', 'audit/']) {
    rmSync(join(dir, `${folder}verify.sh`))
    writeFileSync(join(dir, `${folder}README.txt`), 'This directory is a ledger.\n')
  }
})

afterEach(() => rmSync(dir, { recursive: true, force: true }))

const ADDED = ['README-2.txt', 'verify.sh', 'audit/README-2.txt', 'audit/verify.sh']

it('upgrade adds the script and the text that names it, and changes no file', async () => {
  const before = await filesBelow(dir)
  expect((await verifyDirectory(dir)).notes).toContainEqual(expect.stringContaining('there is no verify.sh'))
  expect(await upgradeLedger(dir)).toEqual(ADDED)
  const after = await filesBelow(dir)
  for (const [path, hash] of Object.entries(before)) expect(after[path], path).toBe(hash)
  expect(Object.keys(after)).toHaveLength(Object.keys(before).length + 4)
  expect(readFileSync(join(dir, 'verify.sh'), 'utf8')).toBe(VERIFY_SH)
  expect(readFileSync(join(dir, 'audit/README-2.txt'), 'utf8')).toBe(readmeText(`${TEST_ORIGIN}/audit`))
  for (const path of ADDED) expect(statSync(join(dir, path)).mode & 0o777, path).toBe(0o444)
  expect(await verifyDirectory(dir)).toMatchObject({ ok: true, audit: { ok: true } })
  expect(await upgradeLedger(dir)).toEqual([])
})

it('upgrade adds only the script where README.txt names it', async () => {
  writeFileSync(join(dir, 'README.txt'), readmeText(TEST_ORIGIN))
  expect(await upgradeLedger(dir)).toEqual(ADDED.slice(1))
})

it('upgrade completes an upgrade that was interrupted', async () => {
  writeFileSync(join(dir, 'README-2.txt'), readmeText(TEST_ORIGIN))
  expect(await upgradeLedger(dir)).toEqual(ADDED.slice(1))
  rmSync(join(dir, 'README-2.txt'))
  expect(await upgradeLedger(dir)).toEqual(['README-2.txt'])
})

it('upgrade writes nothing if another file is in the way', async () => {
  for (const [path, text] of [
    ['audit/verify.sh', 'exit 0\n'],
    ['audit/README-2.txt', 'Something else.\n'],
  ] as const) {
    writeFileSync(join(dir, path), text)
    const before = await filesBelow(dir)
    await expect(upgradeLedger(dir)).rejects.toMatchObject({
      code: 'false',
      message: expect.stringContaining(path) as string,
    })
    expect(await filesBelow(dir)).toEqual(before)
    rmSync(join(dir, path))
  }
})

it('upgrade rejects a ledger that a process writes to', async () => {
  const lock = await lockDirectory(dir)
  await expect(upgradeLedger(dir)).rejects.toThrow(`process ${process.pid} writes to this ledger`)
  await lock.release()
  expect(await upgradeLedger(dir)).toEqual(ADDED)
})

it('upgrade rejects a directory without a ledger, and reports errors of the file system', async () => {
  mkdirSync(join(dir, 'empty'))
  await expect(upgradeLedger(join(dir, 'empty'))).rejects.toThrow('expected a ledger')
  rmdirSync(join(dir, 'empty'))
  writeFileSync(join(dir, 'tmp'), '')
  await expect(upgradeLedger(dir)).rejects.toMatchObject({
    code: 'file',
    message: expect.stringMatching(/ENOTDIR|not a directory/) as string,
  })
  expect(await verifyDirectory(dir)).toMatchObject({ ok: true })
})
