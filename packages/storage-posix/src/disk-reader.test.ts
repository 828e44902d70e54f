import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readFromDisk } from './disk-reader.ts'

let dir = ''

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'service-fs-disk-reader-'))
  mkdirSync(join(dir, 'tile/entries'), { recursive: true })
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const pause = (): Promise<void> => Promise.resolve()
const NAME = { kind: 'bundle', index: 0 } as const

it('the disk reader reads a file in parts, and reports each', async () => {
  const bytes = Buffer.alloc(2_500_000, 'x')
  writeFileSync(join(dir, 'tile/entries/000.b64'), bytes)
  const parts: number[] = []
  const found = await readFromDisk(dir, NAME, async (count) => void parts.push(count))
  expect(bytes.equals(found ?? Buffer.of())).toBe(true)
  expect(parts.length).toBeGreaterThan(2)
  expect(parts.reduce((sum, count) => sum + count)).toBe(bytes.length)
})

it('the disk reader drops the pages of the file from the page cache before it reads', async (context) => {
  const path = join(dir, 'tile/entries/000.b64')
  writeFileSync(path, Buffer.alloc(8_000_000, 'x'), { flush: true })
  const resident = (): number | undefined => {
    try {
      return Number(execFileSync('fincore', ['-b', '-n', '-o', 'RES', path], { encoding: 'utf8' }))
    } catch {
      return undefined
    }
  }
  readFileSync(path)
  const before = resident()
  const inMemory = execFileSync('stat', ['-f', '-c', '%T', dir], { encoding: 'utf8' }).trim() === 'tmpfs'
  // A busy machine may have dropped the pages already.
  context.skip(before === undefined || before < 4_000_000 || inMemory)
  const after: (number | undefined)[] = []
  await readFromDisk(dir, NAME, async () => void after.push(resident()))
  // The kernel reads ahead by less than the rest of the file.
  expect(after[0]).toBeLessThan(before ?? 0)
})

it('the disk reader returns undefined for a missing file, and rejects anything that is not a file of the format', async () => {
  expect(await readFromDisk(dir, NAME, pause)).toBe(undefined)
  expect(await readFromDisk(dir, { kind: 'tile', level: 3, index: 0 }, pause)).toBe(undefined)
  symlinkSync('/etc/passwd', join(dir, 'tile/entries/000.b64'))
  await expect(readFromDisk(dir, NAME, pause)).rejects.toMatchObject({ code: 'corrupt' })
  mkdirSync(join(dir, 'tile/entries/001.b64'))
  await expect(readFromDisk(dir, { kind: 'bundle', index: 1 }, pause)).rejects.toMatchObject({
    code: 'corrupt',
  })
  mkdirSync(join(dir, 'tile/0'))
  writeFileSync(join(dir, 'tile/0/000.b64'), 'x'.repeat(12_000))
  await expect(readFromDisk(dir, { kind: 'tile', level: 0, index: 0 }, pause)).rejects.toMatchObject({
    code: 'corrupt',
  })
})
