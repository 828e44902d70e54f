import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { copyLedger, withCopy } from './fixtures.ts'

const FILES = {
  'bench/tail/000000000256': 'a commit',
  'bench/checkpoint': 'a note',
  'bench/tile/0/000.b64': 'hashes',
  'bench/tile/entries/x001/000.b64': 'entries',
  'bench/cache/records/0-256-ab.run': 'identifiers',
  '.secret/bench/ed25519.key': 'a key',
}
const SHARED = Object.keys(FILES).filter((path) => /tile|\.run$/.test(path))

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'service-fs-copy-'))
  for (const [path, text] of Object.entries(FILES)) {
    mkdirSync(join(dir, 'from', path, '..'), { recursive: true, mode: 0o700 })
    writeFileSync(join(dir, 'from', path), text, { mode: 0o600 })
  }
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

describe('copyLedger', () => {
  it('copies every file, and shares those that never change', () => {
    copyLedger(join(dir, 'from'), join(dir, 'to'))
    for (const [path, text] of Object.entries(FILES)) {
      const copy = join(dir, 'to', path)
      expect(readFileSync(copy, 'utf8')).toBe(text)
      expect({ path, links: statSync(copy).nlink }).toEqual({ path, links: SHARED.includes(path) ? 2 : 1 })
    }
  })

  it('keeps the modes of files and directories', () => {
    copyLedger(join(dir, 'from'), join(dir, 'to'))
    for (const path of ['.secret/bench', '.secret/bench/ed25519.key'])
      expect(statSync(join(dir, 'to', path)).mode).toBe(statSync(join(dir, 'from', path)).mode)
  })
})

describe('withCopy', () => {
  it('removes the copy after a failure, and leaves the original', async () => {
    let copied = ''
    const failing = withCopy(join(dir, 'from'), dir, (copy) => {
      copied = copy
      writeFileSync(join(copy, 'bench/tail/000000000256'), 'another commit')
      return Promise.reject(new Error('failed'))
    })
    await expect(failing).rejects.toThrow('failed')
    expect(() => statSync(copied)).toThrow(/ENOENT/)
    expect(readFileSync(join(dir, 'from/bench/tail/000000000256'), 'utf8')).toBe('a commit')
  })
})
