/**
 * Private keys in files: `<root>/.secret/<moduleId>/ed25519.key`, in the format of golang.org/x/mod/sumdb/note
 * (`PRIVATE+KEY+<name>+<id>+<base64>`), mode 0600, in directories of mode 0700. They are stored beside the ledgers, never inside
 * one.
 */
import { codeOf } from '@service-fs/format/errors'
import { defaultOrigin } from '@service-fs/format/module-id'
import type { TreeAlgorithm } from '@service-fs/format/tree-binding'
import { HostedError } from '@service-fs/http/errors'
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import * as fs from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { formatSignerKey, parseSignerKey, signerFromKey, type KeySigner } from '@service-fs/tlog/keys'
import { TYPE_ED25519 } from '@service-fs/tlog/note'
import { syncDir } from './durable.ts'
import { nativeCrypto } from '@service-fs/native/native'

/** Returns a ledger's origin, which never changes once it is stored. @throws HostedError `usage`: another origin is requested */
export function chooseOrigin(
  stored: string | undefined,
  { moduleId, origin }: { moduleId: string; origin?: string | undefined },
): string {
  if (stored === undefined) return origin ?? defaultOrigin(moduleId)
  if (origin === undefined || origin === stored) return stored
  throw new HostedError(
    'usage',
    `--origin: the ledger's origin is ${stored} and cannot change; found ${origin}`,
  )
}

export const LEDGER_KEY = 'ed25519.key'
export const AUDIT_KEY = 'audit-ed25519.key'

/** Returns the name of the file with the key of a second tree. */
export function treeKey(algorithm: TreeAlgorithm): string {
  return `${algorithm}-ed25519.key`
}

/** Returns the directory of a tenant's private keys. */
export function secretDir(root: string, moduleId: string): string {
  return join(root, '.secret', moduleId)
}

/**
 * Returns the signer whose key is in `path`. With `mayCreate`, a missing file is created atomically and durably, with a key named `name`.
 * `isDirectoryDurable`: the directory holds another key already, so this function does not make it. A tenant of a host
 * cannot sync the directories above.
 * @throws HostedError `key`: the file is missing, readable by others or malformed, or the key has another name or id
 */
export async function openSigner(
  path: string,
  name: string,
  mayCreate: boolean,
  { isDirectoryDurable = false }: { isDirectoryDurable?: boolean } = {},
): Promise<KeySigner> {
  let text = await readKey(path)
  if (text === undefined) {
    if (!mayCreate) {
      throw new HostedError(
        'key',
        `${path}: the ledger exists but its private key is missing: restore the key; a new key could not sign for this ledger`,
      )
    }
    if (!isDirectoryDurable) await makeDirectory(dirname(path))
    await createKey(path, name)
    text = await readKey(path)
  }
  if (text === undefined) throw new HostedError('key', `${path}: the key disappeared after it was created`)
  const found = parsed(path, text)
  if (found !== name) {
    throw new HostedError('key', `${path}: expected a key named ${name}, found one named ${found}`)
  }
  try {
    return signerFromKey(text, nativeCrypto)
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unsupported kind of key'
    throw new HostedError('key', `${path}: ${why}`, { cause: error })
  }
}

/** Returns the verifier key (vkey) of the private key in `path`, with any name. @throws HostedError `key` as `openSigner` */
export async function vkeyOf(path: string): Promise<string> {
  const text = await readKey(path)
  return (await openSigner(path, text === undefined ? '' : parsed(path, text), false)).vkey
}

function parsed(path: string, text: string): string {
  try {
    return parseSignerKey(text).name
  } catch (error) {
    throw new HostedError('key', `${path}: not a private key in Go's note format`, { cause: error })
  }
}

async function readKey(path: string): Promise<string | undefined> {
  let file: fs.FileHandle
  try {
    file = await fs.open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw new HostedError('key', `${path}: ${error instanceof Error ? error.message : 'unreadable'}`, {
      cause: error,
    })
  }
  try {
    await checkPrivate(path, await file.stat())
    await checkPrivate(dirname(path), await fs.stat(dirname(path)))
    return (await file.readFile('utf8')).replace(/\n$/, '')
  } finally {
    await file.close()
  }
}

async function checkPrivate(path: string, { mode }: { mode: number }): Promise<void> {
  if ((mode & 0o077) === 0) return
  const found = (mode & 0o777).toString(8).padStart(4, '0')
  const wanted = path.endsWith('.key') ? '0600' : '0700'
  throw new HostedError(
    'key',
    `${path}: expected mode ${wanted}, found ${found}: a private key must be readable by its owner only: chmod ${wanted.slice(1)} ${path}`,
  )
}

/** Writes a new key to a temporary file, syncs it, and links it into place. If another process was faster, its key stays. */
async function createKey(path: string, name: string): Promise<void> {
  const key = formatSignerKey(
    { name, type: TYPE_ED25519, seed: new Uint8Array(randomBytes(32)) },
    nativeCrypto,
  )
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  const file = await fs.open(temporary, 'wx', 0o600)
  try {
    await file.writeFile(`${key}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  try {
    await fs.link(temporary, path)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  } finally {
    await fs.unlink(temporary)
  }
  await syncDir(dirname(path))
}

/** Makes the directory of a tenant's keys, and the one above it, durably. */
async function makeDirectory(dir: string): Promise<void> {
  await fs.mkdir(dir, { recursive: true, mode: 0o700 })
  await syncDir(dirname(dirname(dir)))
  await syncDir(dirname(dir))
}

/**
 * Returns the path of the mark file beside a key, outside of the ledger's directory. It exists once the key has signed a checkpoint;
 * mark-file.ts describes its content.
 */
export function usedPath(path: string): string {
  return `${path}.used`
}

/**
 * Refuses a key that has signed checkpoints of a ledger that is now missing. A second ledger with this key would look like a fork to
 * every holder of a checkpoint of the first.
 * @throws HostedError `key`
 */
export async function refuseUsed(path: string, dir: string): Promise<void> {
  try {
    await fs.access(usedPath(path))
  } catch {
    return
  }
  throw new HostedError(
    'key',
    `${dir}: the ledger is missing, but its private key has signed checkpoints: restore the ledger; to start another one, move ${path} and ${usedPath(path)} away`,
  )
}
