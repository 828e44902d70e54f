/**
 * Private keys in files: `<root>/.secret/<moduleId>/ed25519.key`, in the format of golang.org/x/mod/sumdb/note
 * (`PRIVATE+KEY+<name>+<id>+<base64>`), mode 0600, in directories of mode 0700. They are beside the ledgers, never inside of one.
 */
import { defaultOrigin } from '@service-fs/format/module-id'
import { HostedError, hasCode } from '@service-fs/http/errors'
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import * as fs from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { formatSignerKey, parseSignerKey, signerFromKey, type KeySigner } from '@service-fs/tlog/keys'
import { TYPE_ED25519 } from '@service-fs/tlog/note'
import { syncDir } from './durable.ts'
import { nativeCrypto } from '@service-fs/native/native'

/** A ledger keeps the origin that it was begun with. @throws HostedError `usage`: another one is asked for */
export function chooseOrigin(
  stored: string | undefined,
  { moduleId, origin }: { moduleId: string; origin?: string | undefined },
): string {
  if (stored === undefined) return origin ?? defaultOrigin(moduleId)
  if (origin === undefined || origin === stored) return stored
  throw new HostedError('usage', `--origin: the ledger's origin is ${stored} and stays so; found ${origin}`)
}

export const LEDGER_KEY = 'ed25519.key'
export const AUDIT_KEY = 'audit-ed25519.key'

/** The directory of a tenant's private keys. */
export function secretDir(root: string, moduleId: string): string {
  return join(root, '.secret', moduleId)
}

/**
 * The signer whose key is in `path`. When there is no such file and `mayCreate`, a key named `name` is made there, atomically and durably.
 * @throws HostedError `key`: none there, readable for others, malformed, named otherwise, or with the id of another key
 */
export async function openSigner(path: string, name: string, mayCreate: boolean): Promise<KeySigner> {
  let text = await readKey(path)
  if (text === undefined) {
    if (!mayCreate) {
      throw new HostedError(
        'key',
        `${path}: the ledger is there, its private key is not: put the key back; a new one would not be the ledger's`,
      )
    }
    await createKey(path, name)
    text = await readKey(path)
  }
  if (text === undefined) throw new HostedError('key', `${path}: gone as soon as it was made`)
  const found = parsed(path, text)
  if (found !== name) {
    throw new HostedError('key', `${path}: expected a key named ${name}, found one named ${found}`)
  }
  try {
    return signerFromKey(text, nativeCrypto)
  } catch (error) {
    const why = error instanceof Error ? error.message : 'another kind of key'
    throw new HostedError('key', `${path}: ${why}`, { cause: error })
  }
}

/** The verifier key of the private key in `path`, whatever its name. @throws HostedError `key` as `openSigner` */
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
    if (hasCode(error, 'ENOENT')) return undefined
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
    `${path}: mode ${found}: a private key must be for its owner only: chmod ${wanted.slice(1)} ${path}`,
  )
}

/** Writes a new key beside its place, syncs it, and links it there: whoever comes second keeps the first one's. */
async function createKey(path: string, name: string): Promise<void> {
  const dir = dirname(path)
  await fs.mkdir(dir, { recursive: true, mode: 0o700 })
  await syncDir(dirname(dirname(dir)))
  await syncDir(dirname(dir))
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
    if (!hasCode(error, 'EEXIST')) throw error
  } finally {
    await fs.unlink(temporary)
  }
  await syncDir(dir)
}

/**
 * The file beside the key in `path`, out of the ledger's directory, that is there when the key has signed a checkpoint. What is in it:
 * mark-file.ts.
 */
export function usedPath(path: string): string {
  return `${path}.used`
}

/**
 * Refuses a key that has signed checkpoints of a ledger that is not there any more: with it a second ledger of the same name would be
 * begun, and whoever holds a checkpoint of the first would find the log forked.
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
    `${dir}: no ledger is here, and its private key has signed one: restore the ledger; to begin another one, move ${path} and ${usedPath(path)} away`,
  )
}
