import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { LEDGER_KEY, openSigner, secretDir } from './keys.ts'

const NAME = 'example.org/ledger/acme'
let root: string
let path: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'keys-'))
  path = join(secretDir(root, 'acme'), LEDGER_KEY)
})
afterEach(() => rm(root, { recursive: true, force: true }))

const mode = async (of: string): Promise<string> => ((await stat(of)).mode & 0o777).toString(8)

it('a daemon creates a key for its owner only, in Go’s format, and opens it again', async () => {
  const made = await openSigner(path, NAME, true)
  expect(await mode(path)).toBe('600')
  expect(await mode(secretDir(root, 'acme'))).toBe('700')
  expect(await mode(join(root, '.secret'))).toBe('700')
  expect(await readFile(path, 'utf8')).toMatch(
    /^PRIVATE\+KEY\+example\.org\/ledger\/acme\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}\n$/,
  )
  expect((await openSigner(path, NAME, false)).vkey).toBe(made.vkey)
  expect(await readdir(secretDir(root, 'acme'))).toEqual([LEDGER_KEY])
})

it('a daemon creates one key for two concurrent starts', async () => {
  const signers = await Promise.all([1, 2, 3, 4].map(() => openSigner(path, NAME, true)))
  expect(new Set(signers.map((signer) => signer.vkey)).size).toBe(1)
  expect(await readdir(secretDir(root, 'acme'))).toEqual([LEDGER_KEY])
})

it.each([0o640, 0o604, 0o660, 0o644])('a daemon refuses a key of mode %o', async (bits) => {
  await openSigner(path, NAME, true)
  await chmod(path, bits)
  await expect(openSigner(path, NAME, true)).rejects.toMatchObject({
    code: 'key',
    message: expect.stringContaining('chmod 600'),
  })
})

it('a daemon refuses a directory that others may read', async () => {
  await openSigner(path, NAME, true)
  await chmod(secretDir(root, 'acme'), 0o750)
  await expect(openSigner(path, NAME, true)).rejects.toMatchObject({
    code: 'key',
    message: expect.stringContaining('chmod 700'),
  })
})

it('a daemon creates no new key for an existing ledger', async () => {
  await expect(openSigner(path, NAME, false)).rejects.toMatchObject({
    code: 'key',
    message: expect.stringContaining('restore the key'),
  })
})

it('a daemon refuses another ledger’s key, a malformed key, and a symbolic link', async () => {
  await openSigner(path, NAME, true)
  await expect(openSigner(path, 'example.org/other', true)).rejects.toMatchObject({
    code: 'key',
    message: expect.stringContaining('expected a key named'),
  })
  const secret = await readFile(path, 'utf8')
  await writeFile(path, secret.replace('PRIVATE', 'PRIVAT'))
  const error: Error = (await openSigner(path, NAME, true).catch((e: Error) => e)) as Error
  expect(error).toMatchObject({ code: 'key' })
  expect(error.message).not.toContain(secret.trim().slice(-30))
  const link = join(secretDir(root, 'acme'), 'link.key')
  await symlink(path, link)
  await expect(openSigner(link, NAME, true)).rejects.toMatchObject({ code: 'key' })
})

it('a daemon rejects a key whose seed does not match its id, without quoting the key', async () => {
  await openSigner(path, NAME, true)
  const secret = (await readFile(path, 'utf8')).trim()
  const seed = `${secret.slice(0, -6)}${secret.at(-6) === 'A' ? 'B' : 'A'}${secret.slice(-5)}`
  await writeFile(path, `${seed}\n`)
  const error = (await openSigner(path, NAME, false).catch((e: Error) => e)) as Error
  expect(error).toMatchObject({ code: 'key' })
  expect(error.message).toMatch(/ed25519\.key: expected key id [0-9a-f]{8}, found [0-9a-f]{8}$/)
  expect(error.message).not.toContain(seed.slice(-30))
})
