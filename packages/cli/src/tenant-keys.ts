/** Makes the private keys of tenants, or reads them from a daemon's files. */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { nativeCrypto } from '@service-fs/native/native'
import { parseSignerKey, signerFromKey, signerVkey, type SignerKey } from '@service-fs/tlog/keys'
import { TYPE_ED25519, formatVkey, isKeyName } from '@service-fs/tlog/note'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from '@service-fs/client/errors'
import { LONGEST_KEY_NAME, type DiskKey } from './key-disk.ts'
import { defaultOrigin } from '@service-fs/format/module-id'

/** The files of a daemon that hold a tenant's private keys, for the ledger and for the audit sub-ledger. */
const LEDGER_KEY = 'ed25519.key'
const AUDIT_KEY = 'audit-ed25519.key'

/** A tenant from the command line. */
export interface Tenant {
  moduleId: string
  origin?: string
  /** The directory of the tenant's key files. */
  secret?: string
}

export interface TenantKeys {
  moduleId: string
  origin: string
  /** The key of the ledger, and the key of the audit sub-ledger. */
  keys: [DiskKey, DiskKey]
}

/** Makes or reads the keys of all tenants. No two keys have the same name. @throws ClientError `usage`, `file` */
export async function tenantKeys(tenants: readonly Tenant[]): Promise<TenantKeys[]> {
  const all: TenantKeys[] = []
  const names = new Set<string>()
  for (const { moduleId, origin, secret } of tenants) {
    const name = origin ?? defaultOrigin(moduleId)
    const [main, audit] =
      secret === undefined
        ? [newKey(name), newKey(`${name}/audit`)]
        : [await readKey(join(secret, LEDGER_KEY), origin), await readKey(join(secret, AUDIT_KEY))]
    for (const key of [main, audit]) {
      checkName(key.name)
      if (names.has(key.name))
        throw new ClientError('usage', `--origin: expected each name once, found ${key.name} twice`)
      names.add(key.name)
    }
    if (audit.name !== `${main.name}/audit`)
      throw new ClientError('file', `${secret}: expected a key named ${main.name}/audit, found ${audit.name}`)
    all.push({ moduleId, origin: main.name, keys: [main, audit] })
  }
  return all
}

function newKey(name: string): DiskKey {
  return { name, seed: new Uint8Array(randomBytes(32)) }
}

/** Checks that a name is valid for a key and fits on the key disk. @throws ClientError `usage` */
function checkName(name: string): void {
  if (isKeyName(name) && !name.includes('\u007f') && Buffer.byteLength(name) <= LONGEST_KEY_NAME) return
  throw new ClientError(
    'usage',
    `--origin: expected a name without spaces and plus signs, of at most ${LONGEST_KEY_NAME - '/audit'.length} bytes, found ${JSON.stringify(name)}`,
  )
}

/** Reads a private key of a daemon. No message quotes the key. @throws ClientError `file`; `usage` when the key's name is not `expected` */
async function readKey(path: string, expected?: string): Promise<DiskKey> {
  const text = await readPrivate(path)
  let key: SignerKey
  try {
    key = parseSignerKey(text)
    // Check that the key has the key id in the text.
    signerFromKey(text, { ...nativeCrypto, now: () => 0 })
  } catch {
    throw new ClientError('file', `${path}: expected a private key in Go's note format, found something else`)
  }
  if (key.type !== TYPE_ED25519)
    throw new ClientError('file', `${path}: expected an Ed25519 key, found another`)
  if (expected !== undefined && key.name !== expected)
    throw new ClientError('usage', `--origin: expected a key named ${expected} in ${path}, found ${key.name}`)
  return { name: key.name, seed: key.seed }
}

async function readPrivate(path: string): Promise<string> {
  let file: FileHandle | undefined
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    if (((await file.stat()).mode & 0o077) !== 0)
      throw new Error(`${path}: expected a private key readable only by its owner: chmod 600 ${path}`)
    return (await file.readFile('utf8')).replace(/\n$/, '')
  } catch (error) {
    throw new ClientError('file', messageOf(error))
  } finally {
    await file?.close()
  }
}

/** Returns the verifier key. */
export function diskVkey({ name, seed }: DiskKey): string {
  return formatVkey(signerVkey({ name, type: TYPE_ED25519, seed }, nativeCrypto))
}
