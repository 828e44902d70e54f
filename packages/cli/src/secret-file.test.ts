import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createSecretFile } from './secret-file.ts'

let dir: string

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'secret-'))
})
afterEach(() => rm(dir, { recursive: true }))

it('createSecretFile creates a file that only its owner can read', async () => {
  const path = join(dir, 'key')
  await createSecretFile(path, (file) => file.writeFile('secret'))
  expect(await readFile(path, 'utf8')).toBe('secret')
  expect((await stat(path)).mode & 0o777).toBe(0o600)
})

it('createSecretFile keeps an existing file', async () => {
  const path = join(dir, 'key')
  await createSecretFile(path, (file) => file.writeFile('first'))
  await expect(createSecretFile(path, (file) => file.writeFile('second'))).rejects.toMatchObject({
    code: 'file',
    message: `${path}: the file exists and is not overwritten`,
  })
  expect(await readFile(path, 'utf8')).toBe('first')
})

it('createSecretFile removes the new file when writing fails', async () => {
  const path = join(dir, 'key')
  await expect(createSecretFile(path, () => Promise.reject(new Error('no space')))).rejects.toMatchObject({
    code: 'file',
    message: 'no space',
  })
  expect(existsSync(path)).toBe(false)
})
