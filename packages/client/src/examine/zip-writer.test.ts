// Reads the archives with Python's zipfile, which has its own implementation of zip64.
import { spawnSync } from 'node:child_process'
import { mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { remove, temporary } from '../testing.ts'
import { ZipOutput } from './zip-output.ts'
import { ZipWriter } from './zip-writer.ts'

const noPython = spawnSync('python3', ['-c', 'pass']).status !== 0
const MADE = new Date('2026-11-22T18:43:00.123Z')

let dir = ''
beforeEach(async () => {
  dir = await temporary()
})
afterEach(() => remove(dir))

/** Runs lines of Python with `z`, the archive, and returns their output. */
function python(...lines: string[]): string {
  const script = ['import sys, zipfile', 'z = zipfile.ZipFile(sys.argv[1])', ...lines].join('\n')
  const { stdout, stderr } = spawnSync('python3', ['-I', '-c', script, join(dir, 'a.zip')], {
    encoding: 'utf8',
  })
  expect(stderr).toBe('')
  return stdout
}

/** Makes an archive. `write` may leave holes: it does not write parts that contain only zeros. */
async function archive(make: (zip: ZipWriter) => Promise<void>): Promise<void> {
  const handle = await open(join(dir, 'a.zip'), 'wx')
  let at = 0
  let waiting: Uint8Array[] = []
  const flush = async (): Promise<void> => {
    const bytes = Buffer.concat(waiting)
    waiting = []
    await handle.write(bytes, 0, bytes.length, at)
    at += bytes.length
  }
  const zip = new ZipWriter(async (bytes) => {
    if (bytes !== ZEROS) waiting.push(bytes)
    else {
      await flush()
      at += bytes.length
    }
  }, MADE)
  await make(zip)
  await zip.end()
  await flush()
  expect(zip.bytes).toBe(at)
  await handle.close()
}

const ZEROS = Buffer.alloc(1 << 20)

describe.skipIf(noPython)(`an archive${noPython ? ' (skipped: no python3)' : ''}`, () => {
  it('an archive has its files with their contents, times and modes', async () => {
    await archive(async (zip) => {
      await zip.add('records/000000/a.txt', Buffer.from('small'))
      await zip.add('empty', new Uint8Array())
      await zip.add('large', Buffer.alloc(100_000, 'large '))
    })
    expect(
      python(
        'print(z.testzip(), z.namelist())',
        'for i in z.infolist(): print(i.file_size, i.compress_type, i.date_time, oct(i.external_attr >> 16))',
        'print(z.read("records/000000/a.txt"), len(z.read("large")))',
      ).split('\n'),
    ).toEqual([
      "None ['records/000000/a.txt', 'empty', 'large']",
      '5 0 (2026, 11, 22, 18, 43, 0) 0o100444',
      '0 0 (2026, 11, 22, 18, 43, 0) 0o100444',
      '100000 8 (2026, 11, 22, 18, 43, 0) 0o100444',
      "b'small' 100000",
      '',
    ])
  })

  it('an archive without files is empty', async () => {
    await archive(async () => {})
    expect(python('print(z.namelist())')).toBe('[]\n')
  })

  it.each([65_534, 65_535, 70_000])('an archive may have %i files', async (count) => {
    await archive(async (zip) => {
      for (let i = 0; i < count; i++) await zip.add(`f/${i}`, Buffer.from(String(i)))
    })
    const last = `f/${count - 1}`
    expect(python(`print(len(z.namelist()), z.read("${last}"))`)).toBe(`${count} b'${count - 1}'\n`)
    // The archive has a zip64 end record exactly when the number of files requires it.
    expect(python('print(z.fp.seek(-42, 2) and z.fp.read(4) == b"PK\\x06\\x07")')).toBe(
      count < 65_535 ? 'False\n' : 'True\n',
    )
  })

  it('an archive may have files of more than 4 GiB, and files after them', async () => {
    const size = 5 * 2 ** 30
    await archive(async (zip) => {
      await zip.begin('huge', { method: 0, crc: 0, size, packed: size })
      for (let at = 0; at < size; at += ZEROS.length) await zip.packed(ZEROS)
      await zip.add('behind', Buffer.from('it'))
    })
    expect(
      python(
        'for i in z.infolist(): print(i.filename, i.file_size, i.compress_size, i.header_offset > 2**32)',
        'print(z.open("huge").read(3), z.read("behind"))',
      ).split('\n'),
    ).toEqual([`huge ${size} ${size} False`, 'behind 2 2 True', "b'\\x00\\x00\\x00' b'it'", ''])
  })

  it('an archive has the files that grew while others were written', async () => {
    await mkdir(join(dir, 'waiting'))
    const handle = await open(join(dir, 'a.zip'), 'wx')
    const zip = new ZipOutput(async (bytes) => void (await handle.write(bytes)), join(dir, 'waiting'), MADE)
    const a = await zip.open('a')
    const b = await zip.open('b')
    for (let i = 0; i < 20_000; i++) {
      await a.write(`line ${i}\n`)
      if (i % 1000 === 0) await zip.put(`f/${i}`, Buffer.from('x'))
    }
    await a.end()
    await b.end()
    await zip.end()
    await zip.close()
    await handle.close()
    expect(zip.files).toBe(22)
    expect(
      python('print(z.testzip(), len(z.namelist()))', 'print(z.read("a").splitlines()[-1], z.read("b"))'),
    ).toBe("None 22\nb'line 19999' b''\n")
  })
})
